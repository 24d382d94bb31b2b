"""Looking at the terminal before the screens are opened."""

from __future__ import annotations

import io

import pytest

from sdetl_engine import UsageError, Verdict
from sdetl_tui.terminal import Terminal, ThemeName, detect, terminal_check


class Tty(io.TextIOWrapper):
    """A stream that says whether it is a terminal, and in which encoding."""

    def __init__(self, *, tty: bool = True, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._tty = tty

    def isatty(self) -> bool:
        return self._tty


def looked_at(
    environ: dict[str, str] | None = None,
    *,
    encoding: str = "UTF-8",
    ascii_only: bool = False,
    theme: ThemeName | None = None,
) -> tuple[Terminal, dict[str, str]]:
    environ = {"TERM": "xterm-256color", **(environ or {})}
    return detect(environ, Tty(), Tty(encoding=encoding), ascii_only=ascii_only, theme=theme), environ


@pytest.mark.parametrize(("stdin", "stdout"), [(True, False), (False, True), (False, False)])
def test_a_pipe_is_refused_and_run_is_named(stdin: bool, stdout: bool) -> None:
    with pytest.raises(UsageError) as caught:
        detect({"TERM": "xterm"}, Tty(tty=stdin), Tty(tty=stdout))
    assert int(caught.value.exit_code) == 2
    assert "sdetl run" in caught.value.next_step


@pytest.mark.parametrize("term", ["dumb", "", "unknown", None])
def test_a_terminal_that_cannot_is_refused(term: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        detect({} if term is None else {"TERM": term}, Tty(), Tty())
    assert "sdetl run" in caught.value.next_step
    assert "--plain" in caught.value.next_step


def test_a_good_terminal() -> None:
    found, environ = looked_at()
    assert (found.ascii, found.colour, found.remote, found.theme) == (False, True, False, "dark")
    assert environ["TEXTUAL_ANIMATIONS"] == "none"
    assert found.poll_seconds == 0.2


@pytest.mark.parametrize(
    ("environ", "ascii_only"),
    [
        ({"LC_ALL": "C"}, True),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, True),
        ({"LANG": "de_DE.ISO-8859-1"}, True),
        ({"LANG": "en_US"}, True),
        ({"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LANG": "C"}, False),
        ({"LANG": "de_DE.utf8@euro"}, False),
        ({}, False),
    ],
)
def test_the_locale_decides_whether_signs_are_ascii(environ: dict[str, str], ascii_only: bool) -> None:
    assert looked_at(environ)[0].ascii is ascii_only


@pytest.mark.parametrize(("value", "colour"), [("1", False), ("yes", False), ("", True)])
def test_no_color(value: str, colour: bool) -> None:
    found, _ = looked_at({"NO_COLOR": value})
    assert found.colour is colour
    assert found.theme == ("dark" if colour else "ansi")


def test_a_theme_that_is_asked_for_wins() -> None:
    assert looked_at({"NO_COLOR": "1"}, theme="contrast")[0].theme == "contrast"


@pytest.mark.parametrize("name", ["SSH_CONNECTION", "SSH_TTY"])
def test_over_ssh_less_is_sent(name: str) -> None:
    found, environ = looked_at({name: "10.0.0.1 22 10.0.0.2 22"})
    assert found.remote
    assert found.poll_seconds >= 0.5
    assert int(environ["TEXTUAL_FPS"]) <= 20


@pytest.mark.parametrize("name", ["TMUX", "STY"])
def test_tmux_and_screen_keep_a_session(name: str) -> None:
    assert looked_at({name: "x"})[0].multiplexed
    assert not looked_at()[0].multiplexed


@pytest.mark.parametrize("encoding", ["ascii", "US-ASCII", "latin-1", "ANSI_X3.4-1968"])
def test_a_locale_without_utf_8_gets_ascii(encoding: str) -> None:
    assert looked_at(encoding=encoding)[0].ascii


@pytest.mark.parametrize("encoding", ["UTF-8", "utf8", "utf-8"])
def test_a_utf_8_locale_does_not(encoding: str) -> None:
    assert not looked_at(encoding=encoding)[0].ascii


def test_ascii_can_be_asked_for_and_the_linux_console_gets_it() -> None:
    assert looked_at(ascii_only=True)[0].ascii
    assert looked_at({"TERM": "linux"})[0].ascii


def test_what_the_operator_set_for_textual_stays() -> None:
    assert looked_at({"TEXTUAL_FPS": "5", "ESCDELAY": "200"})[1]["ESCDELAY"] == "200"


@pytest.mark.parametrize(
    ("environ", "colours"),
    [
        ({"COLORTERM": "truecolor"}, 1 << 24),
        ({}, 256),
        ({"TERM": "xterm"}, 16),
        ({"TERM": "linux"}, 16),
        ({"COLORTERM": "truecolor", "NO_COLOR": "1"}, 0),
    ],
)
def test_colours_are_counted(environ: dict[str, str], colours: int) -> None:
    assert looked_at(environ)[0].colours == colours


def test_the_terminal_is_a_check_of_its_own() -> None:
    check = terminal_check(looked_at()[0], 80, 24)
    assert check.verdict is Verdict.PASSED
    assert check.measured == "80 x 24, UTF-8, 256 colours, on this machine, xterm-256color"
    assert check.fix == ""


@pytest.mark.parametrize(
    ("environ", "size", "word"),
    [
        ({}, (79, 24), "window larger"),
        ({}, (80, 20), "window larger"),
        ({"SSH_TTY": "/dev/pts/1"}, (80, 24), "tmux"),
    ],
)
def test_what_the_terminal_lacks_is_a_warning_with_its_fix(
    environ: dict[str, str], size: tuple[int, int], word: str
) -> None:
    check = terminal_check(looked_at(environ)[0], *size)
    assert check.verdict is Verdict.WARNING
    assert word in check.fix


def test_inside_tmux_a_lost_connection_stops_nothing() -> None:
    check = terminal_check(looked_at({"SSH_TTY": "/dev/pts/1", "TMUX": "x"})[0], 80, 24)
    assert check.verdict is Verdict.PASSED
    assert "in tmux or screen" in check.measured
