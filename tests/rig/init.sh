# The first process of a device: keeps its daemon running, collects what dies.  $@: the daemon.
while :; do
    while [ -e /run/rig/hold ]; do sleep 0.05; done
    "$@" </dev/null >>/run/rig/log 2>&1 &
    echo $! >/run/rig/pid
    wait $!
    sleep 0.05
done
