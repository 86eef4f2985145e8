# An ESME written with Perl's Net::SMPP, which shares no code with us: sends a long Unicode text as parts with a user data header, asks
# for receipts, answers what it is sent, and prints one line of JSON for each step.
#
# perl net_smpp.pl HOST PORT SYSTEM_ID PASSWORD SOURCE DESTINATION HEX_OF_UTF16 DELIVERIES
use strict;
use warnings;
use JSON::PP;
use Net::SMPP;

my ($host, $port, $system_id, $password, $source, $destination, $hex, $deliveries) = @ARGV;
$| = 1;
$SIG{ALRM} = sub { say_line(what => 'timeout'); exit 1 };
alarm 30;

sub say_line { my %fields = @_; print encode_json(\%fields), "\n" }

my ($smpp, $bound) = Net::SMPP->new_transceiver(
    $host, port => $port, system_id => $system_id, password => $password, source_addr => $source, source_addr_npi => 1,
    dest_addr_ton => 1, dest_addr_npi => 1, async => 1,
) or die "cannot connect: $!";
$bound = $smpp->read_pdu() unless ref $bound;
say_line(what => 'bound', status => $bound->{status}, system_id => $bound->{system_id});
exit 1 if $bound->{status};

my $body = pack 'H*', $hex;
my @parts = unpack '(a134)*', $body;
my $number = 0;
for my $part (@parts) {
    $number++;
    my $header = pack 'C6', 5, 0, 3, 77, scalar(@parts), $number;
    $smpp->submit_sm(
        seq => 100 + $number, destination_addr => $destination, short_message => $header . $part, data_coding => 8,
        esm_class => 0x40, registered_delivery => 1,
    );
}

my ($answered, $taken) = (0, 0);
while ($answered < @parts || $taken < $deliveries) {
    my $pdu = $smpp->read_pdu() or last;
    if ($pdu->{cmd} == 0x80000004) {
        $answered++;
        say_line(what => 'submit_sm_resp', status => $pdu->{status}, seq => $pdu->{seq}, message_id => $pdu->{message_id});
    } elsif ($pdu->{cmd} == 5) {
        $taken++;
        my $text = length $pdu->{short_message} ? $pdu->{short_message} : $pdu->{message_payload};
        say_line(
            what => 'deliver_sm', esm_class => $pdu->{esm_class}, data_coding => $pdu->{data_coding}, from => $pdu->{source_addr},
            to => $pdu->{destination_addr}, text => unpack('H*', $text // ''), receipted => $pdu->{receipted_message_id},
            state => defined $pdu->{message_state} ? unpack('C', $pdu->{message_state}) : undef,
        );
        $smpp->deliver_sm_resp(seq => $pdu->{seq}, message_id => '');
    } elsif ($pdu->{cmd} == 0x15) {
        $smpp->enquire_link_resp(seq => $pdu->{seq});
    }
}
my $query = $smpp->enquire_link(seq => 900);
my $answer = $smpp->wait_pdu(0x80000015, 900);
say_line(what => 'enquire_link_resp', status => $answer->{status});
$smpp->unbind(seq => 901);
$answer = $smpp->wait_pdu(0x80000006, 901);
say_line(what => 'unbind_resp', status => $answer->{status});
