"""The router of the kernel's documentation, with a host at each device."""

from flowtable.topology.topology import Topology
from recording.lab import Chat, Lab, text_file
from recording.router import connect_router


def build(lab: Lab, box: Topology) -> None:
    """Two hosts, one at each device of the router."""
    lab.host("client")
    lab.host("server")
    connect_router(
        lab,
        box,
        {
            "eth0": "client eth0 02:00:00:00:01:10 192.0.2.10/24",
            "eth1": "server eth0 02:00:00:00:02:10 198.51.100.10/24",
        },
    )
    lab.run("client", "ip route add default via 192.0.2.1")
    lab.run("server", "ip route add default via 198.51.100.1")
    lab.certificate()
    lab.file("page.txt", text_file(50_000))
    lab.web("server")
    lab.serve("server", "ncat -l -k 7000 -e /bin/cat", 7000)


def traffic(lab: Lab) -> None:
    """One connection from its first to its last packet, and one that stays open."""
    chat = Chat(lab.start("client", "ncat 198.51.100.10 7000"))
    chat.say("hello")
    lab.run("client", "curl -sS -o /dev/null http://198.51.100.10/page.txt")
    for number in range(1, 11):
        chat.say(f"line {number}")
