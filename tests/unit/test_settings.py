"""The configuration: what is accepted, what a fault says, and that what is written out can be read back."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.settings import SAMPLE, Settings
from gateway.settings_file import Config, line_numbers, load
from gateway.settings_text import reference_markdown, sample_toml, toml_value


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bellhop.toml"


def read(path: Path, text: str | bytes, **environ: str) -> Config:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load(path, environ)


def faults_of(path: Path, text: str | bytes, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(path, text, **environ)
    return [line.replace(str(path), path.name) for line in caught.value.lines]


def test_an_empty_file_means_the_defaults(path: Path):
    settings = read(path, "").settings

    assert settings.web.port == 8080
    assert settings.smpp_server.port == 2775
    assert settings.store.durability == "full"
    assert settings.links == ()


def test_the_sample_file_reads_back_as_the_sample(path: Path):
    config = read(path, sample_toml())

    settings = config.settings
    web = settings.web.model_copy(update={"operator_token_file": SAMPLE.web.operator_token_file})
    assert settings.model_copy(update={"store": SAMPLE.store, "web": web, "billing": SAMPLE.billing}) == SAMPLE
    assert settings.billing.export_folder == str(path.parent / SAMPLE.billing.export_folder)
    assert config.warnings == ()


def test_the_sample_file_has_every_key_of_every_section():
    written = tomllib.loads(sample_toml())

    filled = [key for key in Settings.model_fields if getattr(SAMPLE, key) != ()]
    assert list(written) == filled
    for key in filled:
        sample = getattr(SAMPLE, key)
        for entry, values in zip(sample, written[key], strict=True) if isinstance(sample, tuple) else [(sample, written[key])]:
            assert list(values) == list(type(entry).model_fields)


def test_every_key_is_described():
    assert "None" not in reference_markdown()
    assert "|  |" not in reference_markdown()


@pytest.mark.parametrize("text", ['quote " and \\ back', "line\nbreak", "中文😀", "\x00\x1f\x7f", ""])
def test_a_text_survives_being_written_as_toml(text: str):
    assert tomllib.loads(f"key = {toml_value(text)}") == {"key": text}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[web]\nport = 1\n\n[[links]]\nname = 'a'\nwindw = 3\n", 'bellhop.toml:6: unknown key links.windw; did you mean "window"?'),
        ("[wbe]\nport = 1\n", 'bellhop.toml:1: unknown key wbe; did you mean "web"?'),
        ("\n[web]\nport = 70000\n", "bellhop.toml:3: web.port: should be less than or equal to 65535"),
        ("web.port = -1\n", "bellhop.toml:1: web.port: should be greater than or equal to 0"),
        ("[web]\nport = 'eighty'\n", "bellhop.toml:2: web.port: should be a valid integer, unable to parse string as an integer"),
        ("[[links]]\nport = 1\n", "bellhop.toml:1: links.name is missing"),
        ("[[links]]\nname='a'\n[[links]]\nname='b'\npassword = 'ninechars'\n",
         "bellhop.toml:5: links.password: must have at most 8 octets, SMPP carries no more"),
        ("[[links]]\nname='a'\nrate_per_s = inf\n", "bellhop.toml:3: links.rate_per_s: should be a finite number"),
        ("[[services]]\nname='a'\nprice = 0.1\n",
         "bellhop.toml:3: services.price: should be a valid integer, got a number with a fractional part"),
        ("[store]\nurl = 'mysql://x'\n", "bellhop.toml:2: store.url: must begin with sqlite:/// or postgresql://"),
        ("[billing]\ntime_zone = 'Mars/Base'\n", "bellhop.toml:2: billing.time_zone: is no time zone known to this machine"),
        ("[billing]\ntime_zone = '../../etc/passwd'\n", "bellhop.toml:2: billing.time_zone: is no time zone known to this machine"),
        ("web = 3\n", "bellhop.toml:1: web: should be a valid dictionary or instance of Web"),
        ("[web\n", "bellhop.toml:1: is not TOML: expected ']' at the end of a table declaration"),
        ("a = 1\nb = \n", "bellhop.toml:2: is not TOML: invalid value"),
        (b"\xff\xfe", "bellhop.toml: is not UTF-8 text"),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_and_key(path: Path, text: str | bytes, fault: str):
    assert faults_of(path, text) == [fault]


def test_all_faults_are_told_at_once(path: Path):
    faults = faults_of(path, "[web]\nprt = 1\n[log]\nlevel = 'loud'\n")

    assert [fault.split(": ")[0] for fault in faults] == ["bellhop.toml:2", "bellhop.toml:4"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[links]]\nname='a'\n[[links]]\nname='a'\n", 'bellhop.toml:4: links.name: "a" is there twice'),
        ("[[links]]\nname='a'\nbackoff_s_min = 60\n", "bellhop.toml:3: links.backoff_s_min: must not be more than backoff_s_max"),
        ("[[services]]\nname='chat'\n[[short_codes]]\nnumber='1066'\nservice='chta'\n",
         'bellhop.toml:5: short_codes.service: no service "chta"; did you mean "chat"?'),
        ("[messenger]\nshort_code='1066'\n", "bellhop.toml:2: messenger.short_code: is not among short_codes"),
        ("[web]\nport=2775\n", "bellhop.toml: smpp_server.port: 2775 is web.port too"),
    ],
)  # fmt: skip
def test_keys_that_contradict_each_other_are_faults(path: Path, text: str, fault: str):
    assert faults_of(path, text) == [fault]


def test_a_file_that_is_not_there_is_a_fault(path: Path):
    with pytest.raises(ConfigError, match="no such file; `bellhop init DIR` makes one"):
        load(path, {})


def test_a_folder_in_place_of_the_file_is_a_fault(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path, {})


def test_the_environment_goes_before_the_file(path: Path):
    settings = read(
        path,
        sample_toml(),
        BELLHOP__WEB__PORT="9090",
        BELLHOP__LINKS__0__PORT="2779",
        BELLHOP__MESSENGER__OPEN_REGISTRATION="false",
        BELLHOP_REQUIRE_ALL="1",
    ).settings

    assert settings.web.port == 9090
    assert settings.links[0].port == 2779
    assert settings.links[0].window == 100
    assert settings.messenger.open_registration is False


def test_the_environment_can_add_the_next_entry_of_a_list(path: Path):
    settings = read(path, sample_toml(), BELLHOP__LINKS__1__NAME="second", BELLHOP__LINKS__1__PORT="2780").settings

    assert [(link.name, link.port) for link in settings.links] == [("sim", 2776), ("second", 2780)]


def test_the_environment_can_give_a_whole_list_as_json(path: Path):
    settings = read(path, sample_toml(), BELLHOP__LINKS='[{"name": "only", "port": 99}]').settings

    assert [(link.name, link.port) for link in settings.links] == [("only", 99)]


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("BELLHOP__WEB__PRT", "1", 'BELLHOP__WEB__PRT: unknown key web.prt; did you mean "port"?'),
        ("BELLHOP__WEB__PORT", "x", "BELLHOP__WEB__PORT: web.port: should be a valid integer, unable to parse string as an integer"),
        ("BELLHOP__LINKS__7__PORT", "1", "BELLHOP__LINKS__7__PORT: there is no links.7.port to set"),
        ("BELLHOP__WEB__PORT__DEEP", "1", "BELLHOP__WEB__PORT__DEEP: there is no web.port.deep to set"),
        ("BELLHOP__LINKS", "[{", "BELLHOP__LINKS: links: should be a valid tuple"),
    ],
)
def test_a_fault_from_the_environment_names_its_variable(path: Path, variable: str, value: str, fault: str):
    assert faults_of(path, sample_toml(), **{variable: value}) == [fault]


def test_a_relative_store_lies_beside_the_file(path: Path):
    assert read(path, "").settings.store.url == f"sqlite:///{path.parent.resolve()}/bellhop.db"
    assert read(path, "[store]\nurl='sqlite:////var/lib/b.db'").settings.store.url == "sqlite:////var/lib/b.db"
    assert read(path, "[store]\nurl='postgresql://u:p@h/d'").settings.store.url == "postgresql+psycopg://u:p@h/d"


def test_a_guessable_password_to_another_machine_is_warned_about(path: Path):
    config = read(path, "[[links]]\nname='a'\nhost='smsc.example'\npassword='secret'\n")

    assert config.warnings == (f'{path}:4: links.password: the password of link "a" is easily guessed',)


def test_no_fault_and_no_representation_shows_a_secret(path: Path):
    told = faults_of(path, "[[links]]\nname='a'\npassword='hunter2hunter2'\n")
    config = read(path, "[store]\nurl='postgresql://u:hunter2@h/d'\n[[links]]\nname='a'\npassword='hunter2'\n")

    assert "hunter2" not in "".join(told)
    assert "hunter2" not in repr(config)


def test_lines_are_found_behind_texts_and_lists_over_several_lines():
    text = 'a = """\n[not.a.table]\nb = 1\n"""\nc = [\n  1,\n]\n[d]\n"e" = 1\nf.g = 2\n[[h]]\n[h.i]\nj = 1\n[[h]]\nk = 2\n'

    assert line_numbers(text) == {
        ("a",): 1, ("c",): 5, ("d",): 8, ("d", "e"): 9, ("d", "f", "g"): 10,
        ("h", 0): 11, ("h", 0, "i"): 12, ("h", 0, "i", "j"): 13, ("h", 1): 14, ("h", 1, "k"): 15,
    }  # fmt: skip
