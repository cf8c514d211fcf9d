"""What passes a router's devices, as one pcapng file."""

import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from flowtable.capture import Direction, PcapngWriter, Record, merge, open_capture
from recording.lab import TIMEOUT, Lab, RecordingError, wait_for

DIRECTIONS = (Direction.IN, Direction.OUT)


@contextmanager
def tcpdump(lab: Lab, host: str, devices: list[str]) -> Iterator[None]:
    """Capture each device and direction of the router into a file of its own."""
    programs = []
    for device in devices:
        for way in DIRECTIONS:
            output = lab.folder / f"{device}.{way.name}"
            options = f"-i {device} -Q {way.name.lower()} -w {output.name}"
            settings = "-Z root -n -s 0 -B 8192 -U --time-stamp-precision=nano"
            programs.append(lab.start(host, f"tcpdump {options} {settings}"))
            wait_for(f"tcpdump on {device}", partial(_begun, output))
    yield
    time.sleep(1.0)
    for program in programs:
        program.send_signal(signal.SIGINT)
        _, said = program.communicate(timeout=TIMEOUT)
        if b"\n0 packets dropped by kernel" not in said:
            raise RecordingError(f"tcpdump: {said.decode(errors='replace')}")


def _begun(output: Path) -> bool:
    """Whether tcpdump has written the head of its file, which it does when it listens."""
    return output.exists() and output.stat().st_size > 0


def _side(stream: BinaryIO, device: str, direction: Direction) -> Iterator[Record]:
    """What tcpdump saw pass one device in one direction."""
    for frame in open_capture(stream, f"{device} {direction.name}", device):
        yield frame._replace(direction=direction)


def join(lab: Lab, devices: list[str]) -> Path:
    """One pcapng file of what tcpdump saw on all devices, in the order of time."""
    joined = lab.folder / "input.pcapng"
    with ExitStack() as files:
        sides = [
            _side(files.enter_context((lab.folder / f"{device}.{way.name}").open("rb")), device, way)
            for device in devices
            for way in DIRECTIONS
        ]
        with joined.open("wb") as stream, PcapngWriter(stream, devices) as writer:
            for frame in merge(sides):
                writer.write(frame.interface, frame.time, frame.data, frame.direction)
    return joined


def _tshark(capture: Path, *options: str) -> str:
    """What tshark prints about a capture."""
    arguments = ["tshark", "-n", "-r", str(capture), *options]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


def examine(capture: Path) -> None:
    """Print what is in the capture, by protocol, device and direction.

    Raises:
        RecordingError: A frame has a bad checksum or is larger than a wire can carry.
    """
    checks = [f"-o{layer}.check_checksum:TRUE" for layer in ("ip", "tcp", "udp")]
    # What an ICMP error quotes is cut off, so its checksum means nothing.
    bad = (
        "frame.len > 1514"
        " || ip.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0"
        " || (tcp.checksum.status == 0 || udp.checksum.status == 0) && !icmp && !icmpv6"
    )
    found = _tshark(capture, *checks, "-Y", bad)
    if found:
        raise RecordingError(f"bad frames:\n{found}")
    columns = ["frame.interface_name", "frame.packet_flags_direction", "_ws.col.Protocol"]
    fields = [word for column in columns for word in ("-e", column)]
    lines = _tshark(capture, "-T", "fields", *fields)
    counts = Counter(tuple(line.split("\t")) for line in lines.splitlines())
    sides = sorted({key[:2] for key in counts})
    print(
        f"{'':12}"
        + "".join(f"{device + (' in' if way == '0x00000001' else ' out'):>10}" for device, way in sides)
    )
    for protocol in sorted({key[2] for key in counts}):
        print(f"{protocol:12}" + "".join(f"{counts[*side, protocol]:10}" for side in sides))
