"""The home router, its neighbours and what they do."""

import time

from flowtable.topology.topology import Topology
from recording.lab import FORWARDING, TIMEOUT, Chat, Lab, RecordingError, datagrams, text_file
from recording.router import connect_router


def build(lab: Lab, box: Topology) -> None:
    """A LAN with a laptop and a server, an ISP, and two places on the internet.

    laptop, server -- lan0 ROUTER wan0 -- isp -- web
                                             '-- tunnel (MTU 1400) -- office
    """
    for name in ("laptop", "server", "web", "office"):
        lab.host(name)
    for name in ("isp", "tunnel"):
        lab.host(name, FORWARDING)
    lab.host("switch", {"net.ipv6.conf.default.disable_ipv6": 1})
    lab.run("switch", "ip link add br0 type bridge mcast_snooping 0")
    lab.run("switch", "ip link set br0 up")

    connect_router(
        lab,
        box,
        {
            "lan0": "switch port1 02:00:00:00:05:01",
            "wan0": "isp wan 02:00:00:00:00:fe 203.0.113.1/24 2001:db8:113::1/64",
        },
    )
    lab.cable(
        "laptop eth0 02:00:00:00:01:10 192.168.1.10/24 2001:db8:1::10/64", "switch port2 02:00:00:00:05:02"
    )
    lab.cable(
        "server eth0 02:00:00:00:01:20 192.168.1.20/24 2001:db8:1::20/64", "switch port3 02:00:00:00:05:03"
    )
    lab.cable(
        "isp web 02:00:00:00:02:01 198.51.100.1/24 2001:db8:100::1/64",
        "web eth0 02:00:00:00:02:80"
        " 198.51.100.80/24 198.51.100.53/24 2001:db8:100::80/64 2001:db8:100::53/64",
    )
    lab.cable(
        "isp tun 02:00:00:00:03:01 192.0.2.1/30 2001:db8:2::1/64",
        "tunnel isp 02:00:00:00:03:02 192.0.2.2/30 2001:db8:2::2/64",
        mtu=1400,
    )
    lab.cable(
        "tunnel lan 02:00:00:00:04:01 192.0.2.65/26 2001:db8:2:64::1/64",
        "office eth0 02:00:00:00:04:80 192.0.2.80/26 2001:db8:2:64::80/64",
    )
    for port in ("port1", "port2", "port3"):
        lab.run("switch", f"ip link set {port} master br0")
    for host, gateway, gateway6 in (
        ("laptop", "192.168.1.1", "2001:db8:1::1"),
        ("server", "192.168.1.1", "2001:db8:1::1"),
        ("web", "198.51.100.1", "2001:db8:100::1"),
        ("office", "192.0.2.65", "2001:db8:2:64::1"),
        ("tunnel", "192.0.2.1", "2001:db8:2::1"),
    ):
        lab.run(host, f"ip route add default via {gateway}")
        lab.run(host, f"ip route add default via {gateway6}")
    lab.run("isp", "ip route add 192.0.2.64/26 via 192.0.2.2")
    lab.run("isp", "ip route add 2001:db8:2:64::/64 via 2001:db8:2::2")
    lab.run("isp", "ip route add 2001:db8:1::/64 via 2001:db8:113::2")
    # A line of 20 Mbit/s: without it whole transfers fit between two packets of anything else.
    for device in ("wan", "web"):
        lab.run("isp", f"tc qdisc add dev {device} root tbf rate 20mbit burst 6kb latency 500ms")

    lab.certificate()
    lab.file("laptop.resolv.conf", "nameserver 198.51.100.53\n")
    lab.file("office.resolv.conf", "nameserver 198.51.100.53\n")
    long = "".join(f"txt-record=long.example.net,{number} {'flowtable ' * 23}\n" for number in range(10))
    lab.file(
        "dnsmasq.conf",
        "no-resolv\nno-hosts\nuser=root\npid-file=\nedns-packet-max=4096\n"
        "host-record=www.example.net,198.51.100.80,2001:db8:100::80\n"
        "host-record=office.example.org,192.0.2.80,2001:db8:2:64::80\n" + long,
    )
    lab.file("page.txt", text_file(4_000))
    lab.file("upload.txt", text_file(65_000))
    lab.file("download.txt", text_file(180_000))
    lab.serve("web", "dnsmasq -k -C dnsmasq.conf", 53)
    lab.serve("web", "iperf3 -s -1", 5201)
    lab.serve("web", "socat -b 8192 UDP4-RECVFROM:7777,fork PIPE", 7777)
    lab.serve("office", "socat -b 8192 UDP6-RECVFROM:7777,fork PIPE", 7777)
    lab.serve("office", "ncat -6 -l -k 7000 -e /bin/cat", 7000)
    lab.serve("server", "socat UDP4-LISTEN:51820 PIPE", 51820)
    for host in ("web", "office", "server"):
        lab.web(host)


def traffic(lab: Lab) -> None:
    """What the people behind the router do, and what others do to them."""
    curl = "curl -sS -o /dev/null"
    big = b"datagram ".ljust(3000, b"=")

    chat = Chat(lab.start("laptop", "ncat -6 office.example.org 7000"))
    call = lab.start("laptop", "iperf3 -c www.example.net -4 -u --bidir -l 80 -b 64k -t 9")
    chat.say("a call is on the line: UDP, 100 small packets per second each way")
    time.sleep(0.5)

    chat.say("ping: the router, the internet")
    lab.run("laptop", "ping -n -c 2 -i 0.2 192.168.1.1")
    lab.run("laptop", "ping -n -c 2 -i 0.2 2001:db8:1::1")
    lab.run("laptop", "ping -n -c 2 -i 0.2 -4 www.example.net")
    lab.run("laptop", "ping -n -c 2 -i 0.2 -6 www.example.net")

    chat.say("names: short, over IPv6, and an answer in fragments")
    lab.run("laptop", "dig www.example.net")
    lab.run("laptop", "dig @2001:db8:100::53 www.example.net AAAA")
    lab.run("laptop", "dig +bufsize=4096 +ignore long.example.net TXT")

    chat.say("the way to the office, IPv4 and IPv6")
    lab.run("laptop", "traceroute -4 -n -N 1 -q 1 -w 1 office.example.org")
    lab.run("laptop", "traceroute -6 -n -N 1 -q 1 -w 1 office.example.org")

    chat.say("downloads")
    lab.run("laptop", f"{curl} -4 http://www.example.net/download.txt")
    lab.run("laptop", f"{curl} -6 http://www.example.net/download.txt")

    chat.say("many small pages on one connection")
    page = " ".join("-o /dev/null http://www.example.net/page.txt" for _ in range(15))
    lab.run("laptop", f"curl -sS -4 {page}")

    chat.say("datagrams larger than a packet: there and back in fragments")
    for _ in range(2):
        if lab.run("laptop", "socat -b 8192 -t 0.3 - UDP4:198.51.100.80:7777", data=big) != big:
            raise RecordingError("the IPv4 datagram did not come back")

    chat.say("the same over IPv6: packet too big, twice on the way there and once on the way back")
    sent = "socat -b 8192 -t 0.3 - UDP6:[2001:db8:2:64::80]:7777"
    for status in (1, 1, 0):
        lab.run("laptop", sent, data=big, expect=status)
    if lab.run("laptop", sent, data=big) != big:
        raise RecordingError("the IPv6 datagram did not come back")

    chat.say("uploads: fragmentation needed, packet too big")
    for host in ("www.example.net", "office.example.org"):
        for family in ("-4", "-6"):
            lab.run("laptop", f"{curl} {family} -T upload.txt http://{host}/upload{family}.txt")
    lab.run("server", "ping -n -c 1 -W 1 -M do -s 1472 198.51.100.80", expect=1)
    lab.run("server", "ping -n -c 1 -W 1 -M do -s 1452 2001:db8:100::80", expect=1)

    chat.say("nobody there: closed ports outside and on the router")
    lab.run("laptop", f"{curl} -4 http://www.example.net:81/", expect=7)
    lab.run("laptop", f"{curl} -6 http://www.example.net:81/", expect=7)
    lab.run("laptop", "dig -p 5354 +tries=1 +time=1 @198.51.100.80 www.example.net", expect=9)
    lab.run("laptop", f"{curl} http://192.168.1.1:22/", expect=7)
    lab.run("laptop", "dig +tries=1 +time=1 @192.168.1.1 www.example.net", expect=9)

    chat.say("from outside: the port forwards, the server over IPv6, and what is refused")
    lab.run("office", f"{curl} -k https://203.0.113.2:8443/upload.txt")
    datagrams(lab, "office", "socat -t 0.3 - UDP4:203.0.113.2:51820", count=40, size=120)
    lab.run("office", f"{curl} -k https://[2001:db8:1::20]/upload.txt")
    lab.run("office", "ping -n -c 1 203.0.113.2")
    lab.run("office", f"{curl} --connect-timeout 0.5 http://203.0.113.2:22/", expect=28)
    lab.run("office", f"{curl} --connect-timeout 0.5 http://[2001:db8:1::10]:22/", expect=28)

    chat.say("hairpin: the laptop reaches the server by the router's outside address")
    lab.run("laptop", f"{curl} -k https://203.0.113.2:8443/page.txt")

    if call.wait(TIMEOUT):
        raise RecordingError("the call broke down")
    chat.say("done; this chat stays open")
