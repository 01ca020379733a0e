"""What the shells complete: asked of the script as the shell asks it, and typed into one."""

import os
import pathlib
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest
from gpuctl import GPUCTL, Gpuctl, own_commands
from rpc import Client

HANDLE = "the handle of what has no name"


def complete_in_bash(gpuctl: Gpuctl, line: str, cwd: pathlib.Path) -> set[str]:
    """What bash would offer behind the line; `FILES` where it is left to bash to complete a file's name."""
    words = re.findall(r"[^\s=:@]+|[=:@]+", line)
    if line.endswith(" "):
        words.append("")
    replaced = re.search(r"@?[^\s=:@]*$", line)
    assert replaced
    script = """
        eval "$("$1" completion bash)"
        compopt() { [[ $2 == default ]] && COMPREPLY=(FILES); }
        COMP_LINE=$2 COMP_WORDS=("${@:4}") COMP_CWORD=$(($# - 4)) COMPREPLY=()
        _gpuctl gpuctl "$3"
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", script, "bash", GPUCTL, line, replaced[0], *words],
        env=gpuctl.env | {"PATH": f"{os.path.dirname(GPUCTL)}:{gpuctl.env['PATH']}"},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_completion_in_bash(gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path) -> None:
    """Run as bash runs it: every command, verb and option, and nothing else."""

    def offers(line: str) -> set[str]:
        return complete_in_bash(gpuctl, line, tmp_path)

    schema = client.call("daemon.describe")
    structs = {struct["name"]: struct["fields"] for struct in schema["structs"]} | {"none": []}
    verbs: dict[str, set[str]] = {}
    for method in schema["methods"]:
        noun, verb = method["name"].split(".")
        verbs.setdefault(noun, set()).add(verb)
        options = {
            "--" + field["name"].replace("_", "-") + ("" if field["kind"] == "bool" else "=")
            for field in structs[method["args"]]
            if not field["required"] and field["format"] != "cursor"
        }
        if "mem" in [field["of"] for field in structs[method["args"]]]:
            options |= {"--device=", "--uid="}
        assert offers(f"gpuctl {noun} {verb} --") == options | {
            "--json",
            "--socket=",
            "--timeout=",
            "--help",
            "--no-trunc",
        }
    words = own_commands(gpuctl).keys() | verbs.keys()
    assert offers("gpuctl ") == offers("gpuctl --json --socket /x ") == offers("gpuctl help ") == words
    for noun in verbs:
        assert offers(f"gpuctl {noun} ") == offers(f"gpuctl help {noun} ") == verbs[noun]
    assert offers("gpuctl --vers") == {"--version"}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("gpuctl get ", {"w", "other", HANDLE}),
        ("gpuctl get o", {"other"}),
        ("gpuctl mem free ", {"w", "other", HANDLE}),
        ("gpuctl mem copy w ", {"w", "other", HANDLE}),
        ("gpuctl mem copy w w ", set()),
        ("gpuctl rm w ", {"w", "other", HANDLE}),
        ("gpuctl rm w x --force o", {"other"}),
        ("gpuctl session list --mem=", {"w", "other", HANDLE}),
        ("gpuctl get --device ", {"vulkan:0"}),
        ("gpuctl device info ", {"vulkan:0"}),
        ("gpuctl mem alloc ", {"vulkan:0"}),
        ("gpuctl put --device=", {"vulkan:0"}),
        ("gpuctl ls --uid=roo", {"root"}),
        ("gpuctl --socket=/no/such get ", set()),
        ("gpuctl get --socket /no/such ", set()),
        ("gpuctl mem alloc vulkan:0 4K --lifetime=", {"session", "persistent"}),
        ("gpuctl mem alloc --lifetime=per", {"persistent"}),
        ("gpuctl mem alloc --lifetime per", {"persistent"}),
        ("gpuctl put weights --lifetime=", set()),
        ("gpuctl completion ", {"bash", "zsh", "fish"}),
        ("gpuctl put ", {"FILES"}),
        ("gpuctl put --name x ", {"FILES"}),
        ("gpuctl put weights ", set()),
        ("gpuctl get weights ", {"FILES"}),
        ("gpuctl help put ", set()),
        ("gpuctl ls --socket=", {"FILES"}),
        ("gpuctl --socket ", {"FILES"}),
        ("gpuctl mem meta handle --meta=@by", {"@bytes"}),
        ("gpuctl mem fill handle by", set()),
        ("gpuctl mem fill handle @by", {"@bytes"}),
        ("gpuctl no such ", set()),
    ],
)
def test_completion_of_values(
    gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path, line: str, offered: set[str]
) -> None:
    """Values of enumerations, files where a file goes and nowhere else, and what gpud has, of the gpud of the
    line: the name of an allocation, or else its handle."""
    (tmp_path / "bytes").touch()
    mems = [client.alloc(1, **arguments) for arguments in ({"name": "w"}, {"name": "other"}, {})]
    offered = {mems[2] if word == HANDLE else word for word in offered}
    assert complete_in_bash(gpuctl, line, tmp_path) == offered
    assert complete_in_bash(gpuctl, f"gpuctl get {mems[0][:6]}", tmp_path) == {mems[0]}
    client.free(*mems)


SHELLS = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
SETUP = {
    "bash": "source <(gpuctl completion bash)",
    "zsh": "autoload -U compinit; compinit -D -u; source <(gpuctl completion zsh)",
}


class Terminal:
    """A shell that a person types into."""

    def __init__(self, gpuctl: Gpuctl, shell: str, cwd: pathlib.Path) -> None:
        env = gpuctl.env | {"PATH": f"{os.path.dirname(GPUCTL)}:{gpuctl.env['PATH']}", "TERM": "dumb"}
        env |= {"PS1": "$ ", "INPUTRC": "/dev/null", "HOME": str(cwd), "LC_ALL": "C.UTF-8"}
        child, self.master = pty.fork()
        if child == 0:
            os.chdir(cwd)
            os.execvpe(shell, SHELLS[shell], env)
        self.child = child
        self.type(f"{SETUP[shell]}; printf '%s%s' rea dy\n", "ready")

    def type(self, text: str, shown: str) -> str:
        """Returns what is shown, up to where that matches; fails if it does not come."""
        os.write(self.master, text.encode())
        output = ""
        deadline = time.monotonic() + 60
        while not re.search(shown, output):
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} shows {output!r}, not {shown!r}"
            output += os.read(self.master, 65536).decode()
        return output

    def close(self) -> None:
        os.close(self.master)
        os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_as_it_is_typed(
    gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path, shell: str
) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/weights").touch()
    mems = [client.alloc(1, name=name) for name in ("my model", "w:x", "it's")]
    terminal = Terminal(gpuctl, shell, tmp_path)
    try:
        for typed, shown in [
            # A folder has more behind it, a file has not.
            ("gpuctl put fol\t", "put folder/(?! )"),
            ("w\t", "weights "),
            ("\x15gpuctl get my\t", re.escape("my\\ model ")),
            ("\x15gpuctl get my\\ m\t", re.escape("my\\ model ")),
            ("\x15gpuctl get 'my m\t", "'my model' "),
            ("\x15gpuctl rm x w\t", "w:x "),
            ("\x15gpuctl rm w:x i\t", re.escape("it\\'s ")),
            ("\x15gpuctl session list --mem=my\t", re.escape("--mem=my\\ model ")),
            ("\x15gpuctl session list --mem 'my\t", "--mem 'my model' "),
            ("\x15gpuctl device info v\t", "info vulkan:0 "),
        ]:
            terminal.type(typed, shown)
    finally:
        terminal.close()
    client.free(*mems)


def test_completion_in_fish(gpuctl: Gpuctl, client: Client) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish here")
    mems = [client.alloc(1 << 20, name=name) for name in ("my model", "w:x")]
    path = f"{os.path.dirname(GPUCTL)}:{gpuctl.env['PATH']}"

    def offers(line: str) -> list[str]:
        script = "gpuctl completion fish | source; complete -C $argv[1]"
        argv = ["fish", "--no-config", "-c", script, line]
        done = subprocess.run(argv, env=gpuctl.env | {"PATH": path}, capture_output=True, check=True)
        assert done.stderr == b""
        return done.stdout.decode().splitlines()

    assert offers("gpuctl get my") == ["my model\t1.0 MiB on vulkan:0"]
    assert offers("gpuctl get my\\ m") == ["my model\t1.0 MiB on vulkan:0"]
    assert [line.split("\t")[0] for line in offers("gpuctl rm x ")] == ["my model", "w:x"]
    assert offers("gpuctl --socket=/no/such get my") == offers("gpuctl --socket /no/such get my") == []
    assert [line.split("\t")[0] for line in offers("gpuctl device info ")] == ["vulkan:0"]
    assert [line.split("\t")[0] for line in offers("gpuctl session list --mem=w")] == ["--mem=w:x"]
    client.free(*mems)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(gpuctl: Gpuctl, client: Client, tmp_path: pathlib.Path, shell: str) -> None:
    """Each shell's script names every command and needs no gpud, and the shell finds no fault with it."""
    script = gpuctl.run("completion", shell, env={"GPUD_SOCKET": "/no/such"})[0].decode()
    methods = [method["name"].replace(".", " ") for method in client.call("daemon.describe")["methods"]]
    for words in [*own_commands(gpuctl), *methods]:
        named = {
            "bash": f"'{words}') n=0",
            "zsh": f"\n_gpuctl_{re.sub('[ -]', '_', words)}() {{\n",
            "fish": f" -a {words.split()[-1]} -d ",
        }
        assert named[shell] in script
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "script").write_text(script)
    subprocess.run([shell, "-n", tmp_path / "script"], check=True)
