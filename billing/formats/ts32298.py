"""The part of TS 32.298 that our records use, in ASN.1: two SMS records and the retrieval of an MMS.

Tags and types are those of release 16 (modules SMSChargingDataTypes, MMSChargingDataTypes and GenericChargingDataTypes); members we never
fill are left out, which a reader of the full modules does not notice. `ChargeExtension` is ours: the standard's SMS records know no price.
Record 111 is never written: the published module types it wrongly.
"""

from __future__ import annotations

SC_SMO, SC_SMT, MM_RETRIEVAL = 93, 94, 41

# By X.667 an arc under 2.25 is a UUID as a number, and needs nobody's registration.
EXTENSION_OID = "2.25.160921744308137582604793175836452078641"

MODULE = """
BellhopCDR DEFINITIONS IMPLICIT TAGS ::= BEGIN

ChargeRecord ::= CHOICE {
    mMR1RtRecord [41] MMR1RtRecord,
    sCSMORecord  [93] SCSMORecord,
    sCSMTRecord  [94] SCSMTRecord
}

SCSMORecord ::= SET {
    recordType          [0] INTEGER,
    sMSNodeAddress      [1] OCTET STRING,
    originatorInfo      [2] OriginatorInfo OPTIONAL,
    recipientInfo       [3] SEQUENCE OF RecipientInfo OPTIONAL,
    eventtimestamp      [5] OCTET STRING,
    messageReference    [6] OCTET STRING,
    sMTotalNumber       [7] INTEGER OPTIONAL,
    sMMessageType       [13] ENUMERATED { submission(0), delivery(3) } OPTIONAL,
    localSequenceNumber [22] INTEGER OPTIONAL,
    recordExtensions    [23] SET OF ManagementExtension OPTIONAL
}

SCSMTRecord ::= SET {
    recordType          [0] INTEGER,
    sMSNodeAddress      [1] OCTET STRING,
    recipientInfo       [2] RecipientInfo OPTIONAL,
    originatorInfo      [3] OriginatorInfo OPTIONAL,
    submissionTime      [5] OCTET STRING OPTIONAL,
    eventtimestamp      [6] OCTET STRING,
    messageReference    [8] OCTET STRING OPTIONAL,
    sMTotalNumber       [9] INTEGER OPTIONAL,
    sMMessageType       [15] ENUMERATED { submission(0), delivery(3) } OPTIONAL,
    sMDischargeTime     [19] OCTET STRING OPTIONAL,
    localSequenceNumber [26] INTEGER OPTIONAL,
    recordExtensions    [27] SET OF ManagementExtension OPTIONAL
}

MMR1RtRecord ::= SET {
    recordType            [0] INTEGER,
    recipientMmsRSAddress [1] MMSRSAddress,
    messageID             [2] OCTET STRING,
    recipientAddress      [5] MMSAgentAddress,
    contentType           [7] OCTET STRING,
    submissionTime        [10] OCTET STRING,
    recordTimeStamp       [21] OCTET STRING OPTIONAL,
    localSequenceNumber   [22] INTEGER OPTIONAL,
    recordExtensions      [23] SET OF ManagementExtension OPTIONAL,
    messageReference      [24] OCTET STRING,
    vaspID                [25] OCTET STRING OPTIONAL,
    vasID                 [26] OCTET STRING OPTIONAL
}

OriginatorInfo ::= SEQUENCE {
    originatorMSISDN       [1] OCTET STRING OPTIONAL,
    originatorOtherAddress [2] SMAddressInfo OPTIONAL
}

RecipientInfo ::= SEQUENCE {
    recipientMSISDN       [1] OCTET STRING OPTIONAL,
    recipientOtherAddress [2] SMAddressInfo OPTIONAL
}

SMAddressInfo ::= SEQUENCE {
    sMAddressType [0] ENUMERATED { numericShortCode(4), alphanumericShortCode(5) } OPTIONAL,
    sMAddressData [1] GraphicString OPTIONAL
}

MMSRSAddress ::= SEQUENCE { domainName [0] OCTET STRING OPTIONAL }

MMSAgentAddress ::= SEQUENCE {
    mMSAgentAddressData [0] EXPLICIT MMSAgentAddressData,
    mMSRecipientType    [1] SEQUENCE OF ENUMERATED { tO(0) } OPTIONAL
}

MMSAgentAddressData ::= CHOICE {
    mSISDN    [1] OCTET STRING,
    shortCode [2] OCTET STRING
}

ManagementExtension ::= SEQUENCE {
    identifier   OBJECT IDENTIFIER,
    significance [1] BOOLEAN DEFAULT FALSE,
    information  [2] EXPLICIT ChargeExtension
}

ChargeExtension ::= SEQUENCE {
    chargeId       [0] INTEGER,
    recordType     [1] UTF8String,
    service        [2] UTF8String,
    quantity       [3] INTEGER,
    unitPriceMinor [4] INTEGER,
    amountMinor    [5] INTEGER,
    taxMinor       [6] INTEGER,
    currency       [7] UTF8String,
    exponent       [8] INTEGER,
    period         [9] UTF8String,
    late           [10] BOOLEAN,
    corrects       [11] INTEGER OPTIONAL
}

END
"""
