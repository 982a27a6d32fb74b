# For scripts/compose-smoke; source it. A Docker daemon of its own, without any registry: Linux, root.
# Uses $work (a temporary folder), $src (the copy of the checkout in it), say, cannot, wait_for.

dockerd_pid=
wheels_pid=
rootfs_pid=

# The names that the Dockerfile and the Compose file ask for.
base_images() {
    python_image=$(sed -n 's/^FROM \([^ ]*\).*/\1/p' Dockerfile | head -n 1)
    redis_image=$(sed -n 's/^ *image: \(redis[^ ]*\).*/\1/p' docker-compose.yml)
}

# pip runs as the user would run it: whatever index it is configured with, hashes checked. It judges
# conditions such as python_full_version by the Python it runs on, which is not the one inside.
download_wheels() {
    local python=${SIGNALPACA_VENV:-.venv}/bin/python
    [ -x "$python" ] || python=python3
    sed 's/ ; python_full_version [^\\]*\\$/ \\/' "$src/requirements/service.txt" >"$work/wheels.txt"
    timeout --foreground 150 "$python" -m pip download --quiet --disable-pip-version-check \
        --python-version 3.11 --only-binary :all: --require-hashes \
        -r "$work/wheels.txt" -d "$src/wheels" >"$work/pip.log" 2>&1
}

make_rootfs() {
    timeout --foreground 200 debootstrap --variant=minbase \
        --include=python3,python3-venv,redis-server,ca-certificates \
        bookworm "$work/rootfs" >"$work/debootstrap.log" 2>&1 || return 1
    # As the official Redis image has it: a folder that belongs to the redis user, and no protected
    # mode, which would turn away every client that is not in the same container.
    mkdir "$work/rootfs/data"
    chroot "$work/rootfs" chown redis:redis /data
    printf '#!/bin/sh\nexec "$@" --protected-mode no\n' >"$work/rootfs/usr/local/bin/as-official"
    chmod 755 "$work/rootfs/usr/local/bin/as-official"
}

# Without iptables, without a default bridge: the machine's own network stays as it is. Containers
# reach each other, the host reaches published ports, and nothing leads out.
start_dockerd() {
    dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/docker.pid" \
        -H "unix://$work/docker.sock" --iptables=false --ip6tables=false --ip-forward=false \
        --bridge=none >"$work/dockerd.log" 2>&1 &
    dockerd_pid=$!
    export DOCKER_HOST=unix://$work/docker.sock
    unset DOCKER_CONTEXT DOCKER_TLS_VERIFY
    wait_for 60 timeout 5 docker info
}

import_images() {
    tar -C "$work/rootfs" -c . >"$work/rootfs.tar" || return 1
    timeout 60 docker import "$work/rootfs.tar" "$python_image" >/dev/null &&
        timeout 60 docker import --change 'ENTRYPOINT ["as-official"]' --change 'WORKDIR /data' \
            "$work/rootfs.tar" "$redis_image" >/dev/null
}

start_engine() {
    need dockerd debootstrap python3 chroot umount
    base_images
    # Each a process group: Ctrl-C must not end the daemon before the containers.
    set -m
    download_wheels &
    wheels_pid=$!
    make_rootfs &
    rootfs_pid=$!
    start_dockerd || { tail -n 20 "$work/dockerd.log"; cannot "dockerd did not start"; }
    set +m
    # Ended jobs are forgotten: their number may by then be another's.
    wait "$wheels_pid" || { tail -n 5 "$work/pip.log"; cannot "pip could not download the wheels"; }
    wheels_pid=
    wait "$rootfs_pid" || { tail -n 5 "$work/debootstrap.log"; cannot "debootstrap failed"; }
    rootfs_pid=
    import_images || cannot "the base images could not be imported"
}

end_engine() {
    local pid until=$((SECONDS + 20))
    # With their children; each was started as a process group.
    for pid in $wheels_pid $rootfs_pid; do kill -- "-$pid" 2>/dev/null && wait "$pid" 2>/dev/null; done
    if [ -n "$dockerd_pid" ]; then
        kill "$dockerd_pid" 2>/dev/null
        while kill -0 "$dockerd_pid" 2>/dev/null && [ "$SECONDS" -lt "$until" ]; do sleep 0.2; done
        kill -9 "$dockerd_pid" 2>/dev/null
        wait "$dockerd_pid" 2>/dev/null
    fi
    # What was cut short may have left something mounted.
    awk -v d="$work/" 'index($2, d) == 1 {print $2}' /proc/mounts | sort -r |
        while read -r mounted; do umount -l "$mounted" 2>/dev/null; done
}
