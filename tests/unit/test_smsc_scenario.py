"""Scenarios of the SMSC simulator: what they say, what they refuse, and the values of chance in them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import form
from simulators.form import FormError
from simulators.smsc_chance import Latency, Mix, read_latency
from simulators.smsc_config import SmscConfig
from simulators.smsc_ids import IdForm, MessageIds, spelt
from simulators.smsc_rule import Rule, parse_rule, rule_document, with_usual
from simulators.smsc_rules import Rulebook, Submission
from simulators.smsc_scenario import Scenario, SmscForm, check_change, config_of, form_of, parse, shipped
from simulators.streams import stream

TWO = """
seed = 7
[[smsc]]
name = "one"
port = 2776
[smsc.usual]
response_latency = { model = "uniform", min_ms = 5, max_ms = 10 }
[[smsc.rule]]
destination = "86139*"
statuses = { ESME_ROK = 9, ESME_RTHROTTLED = 1 }
[[smsc.rule]]
stats = { DELIVRD = 8, "ACCEPTD+DELIVRD" = 1, none = 1 }
from_s = 10
for_s = 5
[[smsc.bind]]
mode = "mute"
every = 2
[[smsc.event]]
do = "reset"
at_s = 3
[[smsc.mo]]
rate_per_s = 2
[[smsc]]
name = "two"
port = 2777
tls = { enabled = true }
"""


def submission(destination: str = "8613900009999", *, source: str = "1069", body: bytes = b"x", bind: int = 1) -> Submission:
    return Submission(source, destination, body, body.decode, "esme", bind)


def never() -> float:
    raise AssertionError("no random number was needed")


def test_scenario_names_several_smscs_with_all_they_do():
    scenario = parse(TWO, "two.toml")

    one, two = scenario.smsc
    assert (scenario.seed, one.port, two.port, two.tls.enabled) == (7, 2776, 2777, True)
    assert one.usual.response_latency == Latency("uniform", min_ms=5.0, max_ms=10.0)
    assert one.rule[0].statuses == Mix((("ESME_ROK", 9.0), ("ESME_RTHROTTLED", 1.0)))
    assert (one.bind[0].mode, one.event[0].do, one.mo[0].rate_per_s) == ("mute", "reset", 2.0)


def test_scenario_survives_its_document():
    scenario = parse(TWO, "two.toml")

    assert form.read(Scenario, form.document(scenario)) == scenario


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_scenario_is_right_and_says_what_it_is_for(name):
    scenario = parse(shipped()[name], name)

    assert scenario.about
    assert form.read(Scenario, form.document(scenario)) == scenario


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "smsc: a scenario needs at least one"),
        ("[[smsc]\n", "not TOML"),
        ("[smsc]\n", "smsc: expected a list of tables"),
        ("sed = 1\n[[smsc]]\n", "sed: no such key; did you mean seed?"),
        ("[[smsc]]\nport = 70000\n", r"smsc\[0\].port: 0 to 65535"),
        ("[[smsc]]\nport = '2776'\n", r"smsc\[0\].port: expected a whole number"),
        ("[[smsc]]\nchecks = 1\n", r"smsc\[0\].checks: expected true or false"),
        ("[[smsc]]\nid_form = 'octal'\n", r"smsc\[0\].id_form: one of dec, hex"),
        ("[[smsc]]\nname='a'\nport=1\n[[smsc]]\nname='a'\nport=2\n", r"smsc\[1\].name: a is smsc\[0\]'s too"),
        ("[[smsc]]\nname='a'\nport=1\n[[smsc]]\nname='b'\nport=1\n", r"smsc\[1\].port: 1 is smsc\[0\]'s too"),
        ("[[smsc]]\n[[smsc.rule]]\n[[smsc.rule]]\nsufix='1'\n", r"smsc\[0\].rule\[1\].sufix: no such key; did you mean suffix\?"),
        ("[[smsc]]\n[[smsc.rule]]\nstatus='ESME_NO'\n", r"smsc\[0\].rule\[0\].status: ESME_NO is no command_status"),
        ("[[smsc]]\n[[smsc.rule]]\nstats={LOST=1}\n", r"rule\[0\].stats.LOST: LOST: one of DELIVRD"),
        ("[[smsc]]\n[[smsc.rule]]\nstats={DELIVRD=0}\n", r"rule\[0\].stats: at least one weight"),
        ("[[smsc]]\n[[smsc.rule]]\nstatuses={ESME_ROK=-1}\n", r"statuses.ESME_ROK: expected a weight"),
        ("[[smsc]]\n[[smsc.rule]]\nhash_mod=2\nhash_is=2\n", r"rule\[0\].hash_is: must be below hash_mod"),
        ("[[smsc]]\n[[smsc.rule]]\nfault='nasty'\n", r"rule\[0\].fault: one of"),
        ("[[smsc]]\n[smsc.usual]\nresponse_latency={model='normal', mean_ms=5}\n", r"usual.response_latency.sd_ms: model normal needs it"),
        ("[[smsc]]\n[smsc.usual]\nresponse_latency={ms=5, sigma=1}\n", r"response_latency.sigma: model fixed does not use it"),
        ("[[smsc]]\n[smsc.usual]\nreceipt_latency='slow'\n", r"receipt_latency: expected a table"),
        ("[[smsc]]\n[smsc.usual]\nprefix='86'\n", r"smsc\[0\].usual.prefix: a pattern"),
        ("[[smsc]]\n[[smsc.event]]\ndo='explode'\n", r"event\[0\].do: one of unbind"),
        ("[[smsc]]\n[[smsc.event]]\ndo='outbind'\n", r"event\[0\].port: outbind needs the port"),
        ("[[smsc]]\n[[smsc.mo]]\n", r"mo\[0\].file: give a file, or rate_per_s"),
        ("[[smsc]]\n[[smsc.mo]]\nrate_per_s=1\ntext='{x}'\n", r"mo\[0\].text: only \{n\}"),
        ("[[smsc]]\n[smsc.tls]\ncertificate='a.pem'\n", r"tls.private_key: certificate and private_key go together"),
        ("[[smsc]]\nsenders='1069'\n", r"smsc\[0\].senders: expected a list of texts"),
    ],
)
def test_wrong_scenario_is_refused_with_file_table_and_key(text, said):
    with pytest.raises(FormError, match=said) as raised:
        parse(text, "mine.toml")

    assert str(raised.value).startswith("mine.toml: ")


def test_settings_made_in_code_have_a_form_that_makes_them_again():
    config = SmscConfig(system_id="a", rules=(Rule(suffix="1", stat="UNDELIV"),), seed=3, pdus_max=10)

    assert config_of(form_of(config), host=config.host, seed=3) == config


def test_what_needs_a_new_start_cannot_change():
    with pytest.raises(FormError, match=r"port: cannot change while the SMSC runs"):
        check_change(SmscForm(), SmscForm(port=1))


# Chance.


@pytest.mark.parametrize(
    ("document", "least", "most"),
    [
        (25, 0.025, 0.025),
        ({"model": "uniform", "min_ms": 10, "max_ms": 20}, 0.010, 0.020),
        ({"model": "normal", "mean_ms": 10, "sd_ms": 30}, 0.0, 0.2),
        ({"model": "lognormal", "median_ms": 50, "sigma": 1, "max_ms": 400}, 0.0, 0.4),
        ({"ms": 10, "spike_percent": 100, "spike_ms": 500}, 0.51, 0.51),
    ],
)
def test_latency_is_drawn_within_its_model(document, least, most):
    latency = read_latency(document, "latency")
    numbers = stream(1, "latency")

    drawn = [latency.draw_s(numbers) for _ in range(300)]

    assert all(least - 1e-9 <= each <= most + 1e-9 for each in drawn)
    assert [latency.draw_s(stream(1, "latency"))] == drawn[:1]


def test_mix_follows_its_weights():
    mix = Mix((("often", 9.0), ("never", 0.0), ("seldom", 1.0)))
    numbers = stream(1, "mix")

    drawn = [mix.draw(numbers) for _ in range(2000)]

    assert drawn.count("never") == 0
    assert 140 < drawn.count("seldom") < 260


# Ids.


@pytest.mark.parametrize(
    ("id_form", "written"),
    [
        ("dec", "48879"),
        ("hex", "BEEF"),
        ("hex-lower", "beef"),
        ("dec-padded", "00000000000000048879"),
        ("hex-padded", "000000000000BEEF"),
        ("0x", "0xbeef"),
        ("guid", "00000000-0000-0000-0000-00000000beef"),
        ("guid-upper", "00000000-0000-0000-0000-00000000BEEF"),
        ("int64", "9223372036854824687"),
        ("int64-signed", "-9223372036854726929"),
        ("hex64", "800000000000BEEF"),
    ],
)
def test_id_is_spelt_in_its_form(id_form, written):
    assert spelt(0xBEEF, IdForm(id_form)) == written


def test_receipt_may_spell_an_id_otherwise_than_the_response():
    ids = MessageIds(IdForm.HEX, 255, IdForm.DEC_PADDED)

    assert ids.take() == ("FF", "00000000000000000255")
    assert ids.take_as(IdForm.GUID, None) == ("00000000-0000-0000-0000-000000000100",) * 2
    assert ids.take_as(None, IdForm.HEX_0X) == ("101", "0x101")
    assert ids.take_as(None, None, is_short=True) == ("00000102", "00000102")


# Rules that remember.


def test_every_nth_is_counted_for_each_bind():
    book = Rulebook([Rule(every=3, status=0x45)])

    met = [book.decide(submission(bind=bind), never).status for bind in (1, 1, 2, 1, 2, 2)]

    assert met == [0, 0, 0, 0x45, 0, 0x45]


def test_rate_above_is_met_by_what_comes_too_fast_and_only_by_that():
    book = Rulebook([Rule(above_per_s=2, status=0x58)])

    statuses = [book.decide(submission(), never, now_s).status for now_s in (0.0, 0.1, 0.2, 0.9, 1.05, 1.06)]

    assert statuses == [0, 0, 0x58, 0x58, 0, 0x58]


def test_rate_for_each_destination_leaves_others_alone():
    """F05"""
    book = Rulebook([Rule(above_per_s=1, per="destination", status=0x14)])

    statuses = [book.decide(submission(number), never, 0.0).status for number in ("861", "862", "861", "862", "863")]

    assert statuses == [0, 0, 0x14, 0x14, 0]


def test_window_of_time_opens_and_closes():
    book = Rulebook([Rule(from_s=10, for_s=5, status=0x45)])

    assert [book.decide(submission(), never, now_s).status for now_s in (9.9, 10.0, 14.9, 15.0)] == [0, 0x45, 0x45, 0]


def test_shapes_of_destination_sender_and_system_id_must_all_match():
    rule = Rule(destination="8613[0-4]*", sender="10??", system_id="es*", status=0x45)
    book = Rulebook([rule])

    met = [
        book.decide(submission("8613312"), never).status,
        book.decide(submission("8613912"), never).status,
        book.decide(submission("8613312", source="10699"), never).status,
        book.decide(submission("8613312")._replace(system_id="other"), never).status,
    ]

    assert met == [0x45, 0, 0, 0]


def test_hash_of_the_text_picks_the_same_messages_each_time():
    book = Rulebook([Rule(hash_mod=4, hash_is=1, status=0x45)])
    bodies = [b"message %d" % number for number in range(200)]

    first = [book.decide(submission(body=body), never).status for body in bodies]
    again = [book.decide(submission(body=body), never).status for body in bodies]

    assert first == again
    assert 25 < sum(map(bool, first)) < 80


def test_rule_is_completed_by_the_usual_and_its_own_effects_win():
    usual = Rule(response_delay_ms=50, dialect="short", stats=Mix((("UNDELIV", 1.0),)))
    book = Rulebook([Rule(suffix="1", dialect="long-stat"), Rule(suffix="2", stat="EXPIRED")], usual)

    one, two, other = (book.decide(submission(number), never) for number in ("861", "862", "863"))

    assert (one.dialect, one.response_delay_ms, one.stats) == ("long-stat", 50, usual.stats)
    assert (two.dialect, two.stat, two.stats) == ("short", "EXPIRED", None)
    assert other is usual


@settings(max_examples=100)
@given(
    every=st.integers(0, 5),
    percent=st.floats(0, 100),
    latency=st.none() | st.builds(Latency, ms=st.floats(0, 1000)),
    congestion=st.integers(-1, 100),
)
def test_any_rule_survives_its_document(every, percent, latency, congestion):
    rule = Rule(every=every, percent=percent, response_latency=latency, congestion=congestion)

    assert parse_rule(rule_document(rule)) == rule
    assert with_usual(rule, Rule()) == rule
