"""Wireshark's dissector reads what we write: every PDU, every optional parameter, without a malformed mark, and with the same values."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.smpp import pdu as p
from gateway.smpp import tlv
from gateway.smpp.consts import RESPONSE_BIT, CommandId, Tag
from gateway.smpp.fields import CString, Destinations, Octet, ShortMessage
from gateway.smpp.layout import LAYOUTS
from tests.support import pcap

TSHARK = shutil.which("tshark")
pytestmark = pytest.mark.skipif(TSHARK is None, reason="no tshark (apt-get install tshark)")

# Sent by the SMSC, though no responses.
FROM_SMSC = {CommandId.DELIVER_SM, CommandId.OUTBIND, CommandId.ALERT_NOTIFICATION}
TEXTS = {
    "system_id": "bellhop", "password": "secret8", "system_type": "VAS", "address_range": "^1066", "service_type": "CMT",
    "source_addr": "10661700", "destination_addr": "8613900001234", "schedule_delivery_time": "261123090000000+",
    "validity_period": "000001000000000R", "message_id": "179542586242480", "final_date": "2611230905000000"[:16], "esme_addr": "10661700",
}  # fmt: skip
OCTETS = {"interface_version": 0x34, "source_addr_npi": 1, "dest_addr_npi": 1, "dest_addr_ton": 1, "addr_npi": 1, "message_state": 2}


def value_of(field: Any) -> Any:
    if isinstance(field, CString):
        return "261123090500000+" if field.name == "final_date" else TEXTS[field.name]
    if isinstance(field, Octet):
        return OCTETS.get(field.name, 0)
    if isinstance(field, ShortMessage):
        return "门铃".encode("utf-16-be")
    if isinstance(field, Destinations):
        return (p.SmeAddress(1, 1, "8613900001234"), p.DistributionList("friends"), p.SmeAddress(1, 1, "8613900001235"))
    return (p.UnsuccessSme(1, 1, "8613900001234", 0x0B),)


def every_pdu() -> list[Any]:
    made = []
    for number, (cls, fields) in enumerate(LAYOUTS.items(), 1):
        made.append(cls(number, 0, *(value_of(field) for field in fields), {}))
    for number, cls in enumerate((p.SubmitSmResp, p.DeliverSmResp, p.BindTransceiverResp, p.GenericNack, p.DataSmResp), 100):
        made.append(cls(number, 0x58))
    return made


def with_every_parameter() -> list[Any]:
    """Each optional parameter we know by name, one in a PDU."""
    made = []
    for number, tag in enumerate(Tag, 200):
        spec = tlv.TLV_SPECS.get(tag)
        length = max(1, spec.length_min) if spec is not None and spec.length_max else 0
        made.append(p.DataSm(number, 0, source_addr="1066", destination_addr="8613900001234", tlvs={int(tag): b"\x01" * length}))
    return made


def read(folder: Path, pdus: list[Any]) -> list[dict[str, Any]]:
    """What tshark makes of them: the layers of each packet."""
    assert TSHARK is not None
    capture = folder / "smpp.pcap"
    pcap.write(capture, [(_is_from_esme(pdu), p.encode(pdu)) for pdu in pdus])
    command = [TSHARK, "-n", "-r", str(capture), "-d", "tcp.port==2775,smpp", "-T", "json", "-o", "tcp.check_checksum:FALSE"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [packet["_source"]["layers"] for packet in json.loads(told.stdout)]


def _is_from_esme(pdu: Any) -> bool:
    is_response = bool(pdu.command_id & RESPONSE_BIT)
    is_smsc_request = (pdu.command_id & ~RESPONSE_BIT) in FROM_SMSC
    return is_response == is_smsc_request


def flat(layer: Any) -> dict[str, Any]:
    """All fields of a layer by name; the last one where a name repeats."""
    found: dict[str, Any] = {}
    if isinstance(layer, dict):
        for name, value in layer.items():
            if isinstance(value, dict | list):
                found.update(flat(value))
            else:
                found[name] = value
    elif isinstance(layer, list):
        for each in layer:
            found.update(flat(each))
    return found


def test_every_pdu_is_read_without_a_malformed_mark(tmp_path):
    pdus = every_pdu()

    packets = read(tmp_path, pdus)

    assert [packet for packet in packets if "_ws.malformed" in json.dumps(packet)] == []
    heads = [(int(flat(packet["smpp"])["smpp.command_id"], 16), int(flat(packet["smpp"])["smpp.sequence_number"])) for packet in packets]
    assert heads == [(pdu.command_id, pdu.sequence_number) for pdu in pdus]


def test_every_optional_parameter_is_read_without_a_malformed_mark(tmp_path):
    pdus = with_every_parameter()

    packets = read(tmp_path, pdus)

    assert [pdu for pdu, packet in zip(pdus, packets, strict=True) if "_ws.malformed" in json.dumps(packet)] == []


def test_the_fields_of_a_submit_sm_mean_the_same_to_both(tmp_path):
    pdu = p.SubmitSm(
        7, 0, "CMT", 5, 0, "Bellhop", 1, 1, "8613900001234", 0x40, 0x7F, 2, "", "000001000000000R", 0x11, 1, 8, 0,
        b"\x05\x00\x03\x4d\x02\x01" + "门铃".encode("utf-16-be"), {int(Tag.USER_MESSAGE_REFERENCE): b"\x12\x34"},
    )  # fmt: skip

    told = flat(read(tmp_path, [pdu])[0]["smpp"])

    assert {name: told[f"smpp.{name}"] for name in ("service_type", "source_addr", "destination_addr", "sm_length")} == {
        "service_type": "CMT", "source_addr": "Bellhop", "destination_addr": "8613900001234", "sm_length": "10",
    }  # fmt: skip
    assert int(told["smpp.source_addr_ton"], 0) == 5
    assert int(told["smpp.data_coding"], 0) == 8
    assert int(told["smpp.protocol_id"], 0) == 0x7F
    assert int(told["smpp.priority_flag"], 0) == 2
    assert int(told["smpp.user_message_reference"], 0) == 0x1234
    assert int(told["smpp.replace_if_present_flag"], 0) == 1
