"""gpuctl as an operator and as a script use it."""

import os
import pathlib
import re
import subprocess
import time
import unicodedata

import pytest
from gpuctl import GPUCTL, UUID, Gpuctl, own_commands
from harness import ROOT, Daemon
from rpc import Client
from users import as_user, needs_root


@pytest.fixture
def some_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "weights.bin"
    path.write_bytes(os.urandom(9 * 1024 * 1024 + 13))
    return path


def test_put_and_get(gpuctl: Gpuctl, some_file: pathlib.Path, tmp_path: pathlib.Path) -> None:
    handle = gpuctl.text("put", str(some_file), "--name=weights").strip()
    assert UUID.fullmatch(handle)
    info = gpuctl.json("mem", "info", handle)
    assert info["lifetime"] == "persistent" and info["name"] == "weights"
    assert info["size"] == some_file.stat().st_size and info["refs"] == 1
    copy = tmp_path / "copy.bin"
    for which in (handle, "weights"):
        assert gpuctl.text("get", which, str(copy)) == ""
        assert copy.read_bytes() == some_file.read_bytes()
    part = gpuctl.run("get", handle, "-", "--offset=1M", "--size", "100")[0]
    assert part == some_file.read_bytes()[1 << 20 :][:100]
    with (tmp_path / "joined").open("wb") as joined:
        for _ in range(2):
            subprocess.run([GPUCTL, "get", handle, "-"], env=gpuctl.env, stdout=joined, check=True)
    assert (tmp_path / "joined").read_bytes() == 2 * some_file.read_bytes()
    with (tmp_path / "joined").open("ab") as joined:
        subprocess.run([GPUCTL, "get", handle, "-"], env=gpuctl.env, stdout=joined, check=True)
    assert (tmp_path / "joined").read_bytes() == 3 * some_file.read_bytes()
    gpuctl.run("mem", "free", handle)
    gpuctl.fails(1, "mem", "info", handle)


def test_put_from_a_pipe(gpuctl: Gpuctl) -> None:
    data = os.urandom(200_000)
    assert "--size" in gpuctl.fails(2, "put", "-")
    handle = gpuctl.run("put", "-", "--size=200000", stdin=data)[0].decode().strip()
    assert gpuctl.run("get", handle, "-")[0] == data
    gpuctl.run("mem", "free", handle)


def test_put_leaves_nothing_when_it_fails(
    gpuctl: Gpuctl, client: Client, some_file: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    size = some_file.stat().st_size
    assert "ends after" in gpuctl.fails(2, "put", str(some_file), f"--size={size + 1}")
    gpuctl.fails(1, "put", str(tmp_path / "missing"))
    gpuctl.fails(2, "put", str(tmp_path))
    (tmp_path / "empty").touch()
    gpuctl.fails(2, "put", str(tmp_path / "empty"))
    gpuctl.fails(1, "put", str(some_file), "--device=vulkan:9")
    assert client.call("mem.list")["mems"] == []


def test_get_says_what_is_wrong(gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path) -> None:
    target = tmp_path / "target"
    mem = client.alloc(100, name="one")
    assert '"other"' in gpuctl.fails(1, "get", "other", str(target))
    assert "101" in gpuctl.fails(2, "get", "one", str(target), "--offset=101")
    gpuctl.fails(2, "get", "one", str(target), "--size=101")
    gpuctl.fails(1, "get", "00000000-0000-4000-8000-000000000000", str(target))
    gpuctl.fails(1, "get", "one", str(tmp_path / "no" / "such"))
    gpuctl.fails(1, "get", "one", "/dev/full")
    assert not target.exists()
    client.free(mem)


def test_any_method_is_a_command(gpuctl: Gpuctl) -> None:
    handle = gpuctl.json("mem", "alloc", "vulkan:0", "64K", "--name", "by hand", "--mode=640")["mem"]
    info = gpuctl.json("mem", "info", handle)
    # gpuctl's session is over; so it asks for a persistent one.
    assert info["lifetime"] == "persistent" and info["size"] == 65536 and info["mode"] == 0o640
    gpuctl.run("mem", "fill", handle, "0xdeadbeef", "--offset=0x10", "--size=7")
    filled = bytes(16) + bytes.fromhex("deadbeefdeadbe") + bytes(2)
    assert gpuctl.run("mem", "read", handle, "25")[0] == filled
    gpuctl.run("mem", "write", handle, "--data=text", "--offset", "1K")
    assert gpuctl.run("mem", "read", "4", "--mem", handle, "--offset=1024")[0] == b"text"
    assert gpuctl.json("mem", "read", handle, "2", "--offset=16") == {"data": "0xdead"}
    assert gpuctl.json("mem", "rename", handle)["name"] is None
    assert gpuctl.run("mem", "meta", handle, "--meta=@/dev/null")[0] == b""
    assert gpuctl.json("mem", "seal", handle)["sealed"] is True
    assert "sealed" in gpuctl.fails(3, "mem", "write", handle, "--data=x")
    assert gpuctl.run("mem", "free", handle)[0] == b""
    assert gpuctl.json("daemon", "ping") == {} and gpuctl.text("daemon", "ping") == ""
    assert gpuctl.screen("daemon", "ping") == "pong\n"


def test_alloc_prints_the_handle(gpuctl: Gpuctl) -> None:
    """Into a pipe, as put does. The device may be left out, where there is one."""
    handle = gpuctl.text("mem", "alloc", "1.5M", "--name=x")
    assert UUID.fullmatch(handle.strip())
    assert gpuctl.json("mem", "info", handle.strip())["size"] == 3 << 19
    assert re.search(r"^size +1.5 MiB$", gpuctl.screen("mem", "info", "x"), re.MULTILINE)
    gpuctl.run("mem", "free", handle.strip())
    assert gpuctl.json("device", "info")["device"] == "vulkan:0"
    assert gpuctl.json("device", "memory", "vulkan:0") == gpuctl.json("device", "memory")


def test_names_stand_for_handles(gpuctl: Gpuctl, client: Client) -> None:
    """Wherever an allocation is an argument, of a method or of a command."""
    a = client.alloc(64, name="w")
    b = client.alloc(64, name="w prod")
    gpuctl.run("mem", "write", "w", "--data=bytes")
    gpuctl.run("mem", "copy", "w", "w prod", "5")
    assert gpuctl.run("mem", "read", "w prod", "5")[0] == b"bytes"
    assert gpuctl.run("get", "w prod", "-", "--size=5")[0] == b"bytes"
    assert gpuctl.json("mem", "chmod", "--mem=w", "640", "--device=vulkan:0", "--uid=root")["mode"] == 0o640
    assert gpuctl.json("mem", "open", "--mem=w")["mem"] == a
    # Nothing but the whole name is one.
    for words in (["info", "w pro"], ["free", "w p"], ["free", "W"], ["free", ""]):
        assert "nothing is called" in gpuctl.fails(1, "mem", *words)
    # The digits that a list shows are enough to look, and no more.
    assert gpuctl.json("mem", "info", b[:8])["mem"] == gpuctl.json("mem", "info", b[:20].upper())["mem"] == b
    assert "nothing is called" in gpuctl.fails(1, "mem", "info", b[:7])
    assert "given whole" in gpuctl.fails(1, "mem", "write", b[:8], "--data=x")
    # What looks like a handle is one, whatever has it for a name.
    client.call("mem.rename", mem=a, name=b)
    assert gpuctl.json("mem", "info", b)["name"] == "w prod"
    client.free(a, b)


@needs_root
def test_a_name_that_several_have(gpuctl: Gpuctl, daemon: Daemon, client: Client) -> None:
    mine = client.alloc(1, name="twice")
    with as_user(daemon, 12345, []) as connect:
        other = connect()
        its = other.alloc(1, name="twice")
        error = gpuctl.fails(2, "mem", "free", "twice")
        assert mine in error and its in error and "of root" in error and "of 12345" in error
        assert gpuctl.json("mem", "info", "twice", "--uid=12345")["mem"] == its
        assert gpuctl.json("mem", "info", "twice", "--uid", "root")["mem"] == mine
        assert "nothing is called" in gpuctl.fails(1, "mem", "info", "twice", "--uid=12346")
        assert "vulkan:7" in gpuctl.fails(1, "mem", "info", "twice", "--device=vulkan:7")
        other.free(its)
    client.free(mine)


def test_rm(gpuctl: Gpuctl, client: Client) -> None:
    """Names that are whole, or handles, as many as one likes; it goes on after one that fails."""
    kept = client.call("mem.alloc", device="vulkan:0", size=1, name="w-prod", lifetime="persistent")
    for name in ("w", "a b", "c"):
        gpuctl.run("mem", "alloc", "64K", f"--name={name}")
    handle = gpuctl.json("mem", "info", "c")["mem"]
    assert "nothing is called" in gpuctl.fails(1, "rm", kept["mem"][:12])
    done = subprocess.run([GPUCTL, "rm", "w", "w-pro", "a b", handle], env=gpuctl.env, capture_output=True)
    assert done.returncode == 1 and done.stdout == b""
    assert done.stderr.count(b"\n") == 1 and b'nothing is called "w-pro"' in done.stderr
    assert [mem["name"] for mem in client.list_mems()] == ["w-prod"]
    # Who holds it reads on, until it is forced.
    gpuctl.run("rm", "w-prod")
    assert client.read(kept["mem"], 1) == b"\0"
    gpuctl.run("rm", "--force", kept["mem"])
    assert client.list_mems() == []
    assert "mem is missing" in gpuctl.fails(2, "rm")


def test_rm_without_gpud(gpuctl: Gpuctl, daemon: Daemon) -> None:
    """No gpud is said once, not once for each."""
    missing = str(daemon.directory / "missing.sock")
    assert "no connection" in gpuctl.fails(4, "rm", "a", "b", f"--socket={missing}")


def test_close_is_of_no_use_here(gpuctl: Gpuctl, client: Client) -> None:
    mem = client.alloc(1, name="held")
    error = gpuctl.fails(2, "mem", "close", "held")
    assert "gpuctl rm" in error and "session list --mem" in error
    pids = {session["pid"] for session in gpuctl.json("session", "list", "--mem=held")["sessions"]}
    assert pids == {os.getpid()}
    client.free(mem)


def test_bytes_from_a_file(gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path) -> None:
    (tmp_path / "bytes").write_bytes(b"\0\1\2\n")
    mem = client.alloc(4)
    gpuctl.run("mem", "write", mem, f"--data=@{tmp_path}/bytes")
    gpuctl.run("mem", "meta", mem, "--meta=@-", stdin=b"from stdin")
    assert client.read(mem, 4) == b"\0\1\2\n"
    assert gpuctl.run("mem", "meta", mem)[0] == b"from stdin"
    client.free(mem)


def test_listing_for_programs(gpuctl: Gpuctl, client: Client) -> None:
    assert gpuctl.run("ls") == (b"", "")
    mems = {client.alloc(1000 + i, name=f"list/{i}"): i for i in range(1200)}
    lines = gpuctl.text("ls").splitlines()
    assert len(lines) == 1200
    for line in lines:
        handle, device, size, uid, mode, lifetime, refs, name, *more = line.split("\t")
        i = mems[handle]
        assert (device, size, uid) == ("vulkan:0", str(1000 + i), str(os.getuid()))
        assert (mode, lifetime, refs, name) == ("0600", "session", "1", f"list/{i}")
        created_ns, expires_ns, pid, comm, holders, given_up = more
        assert 0 < time.time_ns() - int(created_ns) < 600e9 and expires_ns == ""
        assert (pid, holders, given_up) == (str(os.getpid()), "1", "no") and comm != ""
    assert len(gpuctl.json("ls")["mems"]) == 1200
    assert len(gpuctl.json("mem", "list", "--name-prefix=list/7")["mems"]) == 111
    assert gpuctl.text("ls", "--uid=4000000000") == ""
    for mem in mems:
        client.free(mem)


def test_what_is_shown_for_people(gpuctl: Gpuctl, client: Client) -> None:
    mem = client.alloc(3 << 20, name="shown")
    text = gpuctl.screen("ls")
    assert re.search(rf"^\033\[1mHANDLE .*NAME\033\[0m\n{mem}  vulkan:0  3.0 MiB .* shown\n", text)
    assert text.endswith("allocations 1, 3.0 MiB\n")
    assert "\033" not in gpuctl.screen("ls", env={"NO_COLOR": "1"})
    # Too wide for the screen: a block for each.
    assert re.search(r"^size +3.0 MiB$", gpuctl.screen("mem", "info", mem), re.MULTILINE)
    narrow = gpuctl.screen("mem", "list", columns=60, env={"NO_COLOR": "1"})
    assert re.search(rf"^mem +{mem}$", narrow, re.MULTILINE)
    client.write(mem, b"Hello\0\xff")
    assert gpuctl.screen("mem", "read", mem, "7").startswith("00000000  48 65 6c 6c 6f 00 ff  ")
    client.free(mem)


def test_nothing_steers_a_terminal(gpuctl: Gpuctl, client: Client) -> None:
    """Neither bytes nor names that are control characters; JSON and pipes have them all the same."""
    name = "a\x9b31mb\x7fc\x1b[31m"
    mem = client.alloc(64, name=name, meta=b"\x1b[31m\x9b\0")
    client.write(mem, b"\x1b[31m\xc2\x9b\xff")
    for words in (
        ["ls"],
        ["ls", "--json"],
        ["mem", "info", mem],
        ["mem", "read", mem, "64"],
        ["mem", "meta", mem],
    ):
        text = gpuctl.screen(*words, env={"NO_COLOR": "1"})
        assert not re.search("[\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f]", text), words
    assert gpuctl.json("ls")["mems"][0]["name"] == name
    assert gpuctl.run("mem", "meta", mem)[0] == b"\x1b[31m\x9b\0"
    client.free(mem)


def test_who_holds_what(gpuctl: Gpuctl, daemon: Daemon, client: Client) -> None:
    """The operator's question: whose, held by which processes, since when, until when."""
    comm = pathlib.Path("/proc/self/comm").read_text().strip()
    leased = client.call(
        "mem.alloc", device="vulkan:0", size=1, name="leased", lifetime="persistent", ttl_s=3599
    )
    sealed = client.alloc(1, name="sealed", mode=0o644)
    client.call("mem.seal", mem=sealed)
    freed = client.alloc(1, name="old")
    with daemon.connect() as second:
        for mem in (sealed, freed):
            second.call("mem.open", mem=mem)
        client.free(freed)
        lines = gpuctl.screen("ls", env={"NO_COLOR": "1"}).splitlines()
        rows = {line.split()[0]: re.split(r"  +", line)[3:] for line in lines[1:-1]}
        pid = str(os.getpid())
        assert rows[leased["mem"]][:4] == ["root", "0600", pid, comm]
        assert re.fullmatch(r"\d+s", rows[leased["mem"]][4])
        assert rows[leased["mem"]][5:] == ["59m", "leased"]
        assert rows[sealed][1:4] == ["0644 sealed", pid, f"{comm} +1"] and rows[sealed][5] == "session"
        assert rows[freed][5] == "freed" and rows[freed][3] == comm
    client.call("mem.close", mem=leased["mem"])
    shown = gpuctl.screen("mem", "info", "leased")
    assert re.search(r"^expires +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+$", shown, re.MULTILINE)
    assert re.search(r"^uid +root\n", shown, re.MULTILINE)
    client.free(sealed, leased["mem"])


def test_tables_fit_the_terminal(gpuctl: Gpuctl, client: Client) -> None:
    name = "a-long-name/of-a-model/shard-00012-of-00033-\u6a21\u578b"
    mem = client.alloc(3 << 20, name=name)
    plain = {"NO_COLOR": "1"}

    def widths(text: str) -> set[int]:
        return {
            sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in line)
            for line in text.splitlines()
        }

    for columns in (66, 80, 100, 200):
        text = gpuctl.screen("ls", columns=columns, env=plain)
        assert max(widths(text)) <= columns
        assert text.startswith("HANDLE") and f"\n{mem[:8]}" in text and "COMMAND" in text
        assert ("--no-trunc" in text) == (columns < 150) == (name not in text)
        # A name that is shortened keeps both its ends.
        assert re.search("  a-lo\\S*\u578b\n", text)
    for words in (["ls", "--no-trunc"], ["ls", "--no_trunc"]):
        text = gpuctl.screen(*words, columns=80, env=plain)
        assert f"\n{mem}  vulkan:0 " in text and "0600" in text and name in text
    sessions = gpuctl.screen("session", "list", columns=80, env=plain)
    assert max(widths(sessions)) <= 80 and re.search(rf"\n\S{{8,}} +root .* {os.getpid()} ", sessions)
    assert re.search(r" \d+[smh] ago ", sessions)
    # Programs get all, whatever the width.
    assert gpuctl.text("ls").split("\t")[0] == mem
    client.free(mem)


def test_help_breaks_lines_between_words(gpuctl: Gpuctl) -> None:
    for words in (["help"], ["help", "mem", "free"], ["help", "mem"], ["help", "put"]):
        lines = gpuctl.screen(*words, columns=60).splitlines()
        assert max(map(len, lines)) <= 60
        assert " ".join(gpuctl.text(*words).split()) == " ".join(" ".join(lines).split())


def test_status(gpuctl: Gpuctl, daemon: Daemon, client: Client) -> None:
    mem = client.alloc(5 << 20)
    status = gpuctl.json("status")
    assert status["daemon"]["pid"] == daemon.pid and status["daemon"]["mems"] == 1
    assert status["devices"][0]["device"] == "vulkan:0"
    assert status["devices"][0]["memory"]["used"] >= 5 << 20
    assert status["daemon"]["stalls"][-1]["limit_us"] is None
    for text in (gpuctl.text("status"), gpuctl.text("daemon", "status")):
        # Every field, then the rows of the list under its name.
        assert f"pid\t{daemon.pid}\n" in text and re.search(r"^stalls\t\d+\t\d+$", text, re.MULTILINE)
    assert re.search(r"^devices\tvulkan:0\t", gpuctl.text("status"), re.MULTILINE)
    shown = gpuctl.screen("daemon", "status", env={"NO_COLOR": "1"})
    assert re.search(rf"^pid +{daemon.pid}\n", shown, re.MULTILINE) and "\nstalls:\n limit  count\n" in shown
    screen = gpuctl.screen("status", columns=200)
    assert f"pid {daemon.pid}" in screen and "allocations 1," in screen and daemon.socket in screen
    assert re.search(r"^worst stall \S+ (us|ms|s); ", screen, re.MULTILINE)
    assert re.search(r"DEVICE +NAME +TYPE +HEALTH", screen)
    client.free(mem)


def test_progress_bar(gpuctl: Gpuctl, some_file: pathlib.Path) -> None:
    screen = gpuctl.screen("put", str(some_file))
    assert re.search(r"\rput \[#{40}\] 100%  9.0 MiB  \S+ \S+/s\033\[K\n", screen)
    handle = UUID.search(screen)
    assert handle
    gpuctl.run("mem", "free", handle[0])


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ([], "gpuctl help"),
        (["mme", "list"], 'did you mean "mem"'),
        (["stauts"], 'did you mean "status"'),
        (["mem"], "alloc, open, close, free"),
        (["mem", "aloc"], 'did you mean "alloc"'),
        (["mem", "alloc"], "size is missing"),
        (["mem", "alloc", "vulkan:0"], 'size: "vulkan:0"'),
        (["mem", "chmod", "x", "1777"], "exceeds 0777"),
        (["mem", "renew", "x", "10M"], "15min"),
        (["ls", "--uid=nobody-here"], '"nobody-here" is no user'),
        (["ls", "--cursor=1"], "no option --cursor"),
        (["ls", "--session=x"], "UUIDs"),
        (["mem", "read", "00000000-0000-4000-8000-000000000000", "100000"], "gpuctl get"),
        (["mem", "alloc", "vulkan:0", "1", "--nmae=x"], "did you mean --name"),
        (["mem", "alloc", "vulkan:0", "12Q"], "64K"),
        (["shm", "register", "4096"], "file descriptor"),
        (["--colour", "ls"], "gpuctl help"),
        (["ls", "words"], "did you mean --name-prefix=words"),
        (["mem", "rename", "x", "y"], "did you mean --name=y"),
        (["session", "list", "x"], "did you mean --mem=x"),
        (["get", "x", "file", "y"], "one word too many"),
        (["mem", "free", "x", "y"], "`gpuctl rm` takes several"),
        (["help", "me"], 'did you mean "mem"'),
        (["help", "mem", "aloc"], 'did you mean "alloc"'),
        (["help", "complation"], 'did you mean "completion"'),
        (["help", "put", "file"], "one word too many"),
        (["help", "mem", "alloc", "vulkan:0"], "one word too many"),
        (["completion"], "bash, zsh, fish"),
        (["completion", "tcsh"], "none of: bash, zsh, fish"),
        (["completion", "bash", "zsh"], "one word too many"),
        (["ls", "--name-perfix=x"], "did you mean --name-prefix"),
        (["STATUS"], 'did you mean "status"'),
        (["ls", "--json=3"], "takes no value"),
        (["mem", "fill", "00000000-0000-4000-8000-000000000000", "0xabc"], "hexadecimal"),
        (["put", "/"], "is a directory"),
        # What the daemon finds wrong.
        (["mem", "alloc", "vulkan:0", "0"], "size"),
    ],
)
def test_usage_errors(gpuctl: Gpuctl, words: list[str], hint: str) -> None:
    assert hint in gpuctl.fails(2, *words)


def test_no_daemon(gpuctl: Gpuctl, tmp_path: pathlib.Path) -> None:
    missing = str(tmp_path / "missing.sock")
    assert missing in gpuctl.fails(4, "--socket", missing, "status")
    assert "GPUD_SOCKET" in gpuctl.fails(4, "ls", f"--socket={missing}", "--json")


def test_help_covers_every_method(gpuctl: Gpuctl, client: Client) -> None:
    overview = gpuctl.text("help")
    assert gpuctl.text("--help") == overview
    for method in client.call("daemon.describe")["methods"]:
        noun, verb = method["name"].split(".")
        assert f"{noun} {verb}" in overview
        text = gpuctl.text("help", noun, verb)
        assert text.startswith(f"usage: gpuctl {noun} {verb}") and method["doc"] in text
        assert gpuctl.text(noun, verb, "--help") == text
    for command, doc in own_commands(gpuctl).items():
        text = gpuctl.text("help", command)
        assert text.startswith(f"usage: gpuctl {command}") and doc in text
        assert gpuctl.text(command, "--help") == text == gpuctl.text("--help", command, "word")
    assert "SHELL bash|zsh|fish" in gpuctl.text("help", "completion")
    assert re.fullmatch(r"gpuctl \d+\.\d+\.\d+\n", gpuctl.text("--version"))


def test_the_manual_has_every_command(gpuctl: Gpuctl) -> None:
    """Each of gpuctl's own commands has a paragraph, which begins as its help does."""
    manual = (ROOT / "client/gpuctl/gpuctl.1").read_text().replace("\\-", "-")
    block = manual.split("own commands are:\n")[1].split(".PP\n")[0]
    entries = re.findall(r'^\.TP\n\.BI? "?([a-z-]+).*\n(.*)$', block, re.MULTILINE)
    assert dict(entries) == own_commands(gpuctl)


def test_full_output(gpuctl: Gpuctl) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run([GPUCTL, "device", "list"], env=gpuctl.env, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1 and b"No space left" in done.stderr


def test_hints_name_what_is_installed(client: Client) -> None:
    """Errors are read where there is gpuctl, and where there is the Python package alone, never this tree."""
    schema = client.call("daemon.describe")
    for error in schema["errors"]:
        assert not re.search(r"proto/|\.md|NOUN|--socket", error["hint"]), error
    docs = {
        (struct["name"], field["name"]): field["doc"]
        for struct in schema["structs"]
        for field in struct["fields"]
    }
    # What is in the protocol for later says so wherever its documentation is printed.
    for place in [
        ("session_hello_args", "token"),
        ("session_hello_result", "token"),
        ("mem_alloc_args", "exportable"),
        ("mem_info", "exportable"),
        ("daemon_status_result", "restored_mems"),
    ]:
        assert docs[place].startswith("reserved"), place
