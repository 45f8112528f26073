# Servers on hosts of their own, for tests of disks that a guest joins; source functions.sh and guest.sh
# first.
#
# The hosts are network namespaces; where those cannot be made, ports of this one.
# shellcheck shell=bash disable=SC2154,SC2034  # variables of functions.sh, and for who sources this

nbdkit_program=$(command -v nbdkit)
pids=()   # of the servers
places=() # where the guest finds them: address and port

# start_host ARGUMENT...: one more host, with a server that has these arguments.
start_host() {
  local number=${#pids[@]}
  local name=ramdisk-$$-$number address=198.18.$((RANDOM % 250)).$((RANDOM % 60 * 4))
  if [ "$(id -u)" -eq 0 ] && ip netns add "$name" 2>/dev/null; then
    at_exit "ip netns del '$name'"
    ip link add "rd$$-$number" type veth peer name eth0 netns "$name"
    ip addr add "${address%.*}.$((${address##*.} + 1))/30" dev "rd$$-$number"
    ip link set "rd$$-$number" up
    nbdkit_host=${address%.*}.$((${address##*.} + 2))
    # Not "ip -n", which needs a root that is a mount: that of a chroot is none.
    nsenter --net="/run/netns/$name" ip addr add "$nbdkit_host/30" dev eth0
    nsenter --net="/run/netns/$name" ip link set eth0 up
    nbdkit_port=10809
    nbdkit_options=()
    nbdkit() { exec nsenter --net="/run/netns/$name" "$nbdkit_program" "$@"; }
    start_nbdkit "$@"
    unset -f nbdkit
    places+=("$nbdkit_host $nbdkit_port")
  else
    echo "no network namespaces here: host $number is a port of this one"
    choose_port
    start_nbdkit "$@"
    places+=("10.0.2.2 $nbdkit_port")
  fi
  pids+=("$pid")
}
