#!/bin/sh
# A test as people write them for a kernel with flowtables: nothing but nft, ip, ping and socat.
#
# usage: script.sh CLIENT ROUTER SERVER FILE    three network namespaces in a line, what is sent each way
set -eu
client=$1 router=$2 server=$3 file=$4
got=$(mktemp -d)
trap 'rm -r "$got"' EXIT

in_router() { ip netns exec "$router" "$@"; }

# transfer PROTOCOL ADDRESS PORT
transfer() {
	ip netns exec "$server" socat -t 60 "TCP$1-LISTEN:12345,reuseaddr" STDIO < "$file" > "$got/server" &
	until ip netns exec "$server" ss -Hltn 'sport = :12345' | grep -q 12345; do :; done
	ip netns exec "$client" socat -t 60 "TCP$1:$2:$3" STDIO < "$file" > "$got/client"
	wait $!
	cmp "$file" "$got/server"
	cmp "$file" "$got/client"
	echo "transferred: $1 $2 $3"
}

in_router nft -f - << 'EOF'
flush ruleset
table inet filter {
  flowtable fast {
    hook ingress priority 0
    devices = { lan, wan }
    counter
  }
  counter offloaded { }
  chain forward {
    type filter hook forward priority 0; policy drop;
    oif "wan" tcp dport 12345 flow add @fast counter name offloaded
    ct state established,related accept
    oif "wan" tcp dport 12345 accept
    meta l4proto { icmp, ipv6-icmp } accept
  }
}
EOF
ip netns exec "$client" ping -c 1 -q 10.0.2.99 > "$got/ping"
ip netns exec "$client" ping -c 1 -q dead:2::99 > "$got/ping"
transfer 4 10.0.2.99 12345
transfer 6 '[dead:2::99]' 12345

# The server knows the way to the router only: addresses are translated.
ip -net "$server" route del default
in_router nft -f - << 'EOF'
table ip nat {
  chain prerouting {
    type nat hook prerouting priority dstnat; policy accept;
    iif "lan" ip daddr 10.6.6.6 tcp dport 1666 counter dnat to 10.0.2.99:12345
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" counter masquerade
  }
}
EOF
transfer 4 10.0.2.99 12345
transfer 4 10.6.6.6 1666

in_router nft insert rule inet filter forward ip dscp set cs3
transfer 4 10.0.2.99 12345

in_router nft reset counter inet filter offloaded
in_router nft list flowtables
in_router nft delete table ip nat
in_router nft flush ruleset
in_router nft list ruleset
