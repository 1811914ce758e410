# shellcheck shell=bash disable=SC2154,SC2016,SC2034
# The steps of scripts/test-package, which sources this file and says what they do.
# They use $work (a folder that goes), $kept (one that stays) and $started (processes).

source_seconds=40

# fail shows what the programs of a step said last.
fail() {
  local log
  for log in "$work"/{server,publisher,plays,image,console}.log; do
    [ ! -s "$log" ] || { printf -- '-- %s\n' "$(basename "$log")"; tail -n 15 "$log"; } >&2
  done
  die "$*"
}

# eventually SECONDS COMMAND...: until it succeeds.
eventually() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$end" ] || fail "in vain: $*"
    sleep 0.3
  done
}

# free_port prints a port of this machine that nobody listens on.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
  echo "$port"
}

need_root() { [ "$(id -u)" -eq 0 ] || die "this step needs root"; }

# package: HEAD's packages in $work/dist, once.
package() {
  [ -e "$work/dist/SHA256SUMS" ] || scripts/package HEAD "$work/dist"
}

# --- units, manifests ------------------------------------------------------------

step_units() {
  need_command systemd-analyze systemd
  local to=$work/units exposure
  mkdir -p "$to"
  cp configs/deploy/systemd/* "$to"
  CGO_ENABLED=0 go build -o "$to/headwater" ./cmd/headwater
  sed -i "s#^ExecStart=/usr/bin/headwater#ExecStart=$to/headwater#" "$to/headwater.service"
  local said
  said=$(systemd-analyze verify --man=no "$to"/*.service "$to"/*.socket 2>&1) || fail "units do not verify: $said"
  [ -z "$said" ] || fail "units: $said"
  exposure=$(systemd-analyze security --offline=true configs/deploy/systemd/headwater.service | sed -n 's/.*exposure level.*: \([0-9.]*\) .*/\1/p')
  echo "exposure $exposure"
  awk -v e="$exposure" 'BEGIN { exit !(e != "" && e < 2.0) }' || fail "exposure $exposure is not below 2.0"
  "$to/headwater" config check configs/deploy/headwater.yaml
}

step_manifests() {
  local network=(unshare --net)
  need_command ip iproute2
  [ "$(id -u)" -eq 0 ] || network=(unshare --map-root-user --net)
  (cd scripts/lib/deploycheck && go build -o "$work/deploycheck" .)
  go build -o "$work/headwater" ./cmd/headwater
  "${network[@]}" sh -c 'ip link set lo up && ip addr add 192.0.2.1/32 dev lo && exec "$@"' sh \
    "$work/deploycheck" configs/deploy/kubernetes configs/deploy/compose/compose.yaml Dockerfile "$work/headwater"
  "$work/headwater" edge nginx --origin http://headwater:8080 | diff - configs/deploy/compose/edge.conf || fail "edge.conf is not what headwater edge nginx prints"
}

# --- repro -------------------------------------------------------------------------

step_repro() {
  local here commit binary out
  commit=$(git rev-parse HEAD)
  package
  # Another folder, another time, another cache, another umask and another locale.
  git clone --quiet . "$work/elsewhere"
  mkdir -p "$work/elsewhere/bin"
  cp -r bin/nfpm-* "$work/elsewhere/bin"
  (
    cd "$work/elsewhere" && umask 077 && git checkout --quiet "$commit" &&
      env TZ=Asia/Tokyo GOCACHE="$work/gocache" GOAMD64=v3 GOFLAGS=-buildvcs=false scripts/package HEAD "$work/again" >/dev/null
  )
  diff -r "$work/dist" "$work/again" || fail "two builds differ"
  (cd "$work/dist" && sha256sum --quiet -c SHA256SUMS)
  (cd scripts/lib/deploycheck && go build -o "$work/sbomcheck" ./sbomcheck)
  "$work/sbomcheck" "$(cd scripts/lib/deploycheck && go list -m -f '{{.Dir}}' github.com/CycloneDX/cyclonedx-go)/schema" "$work"/dist/*.cdx.json
  here=$(go env GOHOSTARCH)
  binary=$(echo "$work"/dist/headwater_*_linux_"$here")
  out=$("$binary" version --json)
  grep -q "\"commit\": \"$commit\"" <<<"$out" || fail "the binary does not know its commit: $out"
  grep -q '"modified": false' <<<"$out" || fail "the binary does not know that nothing was changed: $out"
  grep -q dist/index.html "$binary" || fail "the binary has no console"
  grep -q "/deploy/systemd/headwater.service$" <<<"$(tar -tzf "$binary.tar.gz")" || fail "the archive has no unit"
  links_lead "$binary.tar.gz"
  [ "$(tar -xzOf "$binary.tar.gz" --wildcards '*/headwater' | sha256sum)" = "$(sha256sum <"$binary")" ] || fail "the archive has another binary"
}

# links_lead ARCHIVE: the pages in it, its sources' aside, link to what is in it.
links_lead() {
  local to=$work/unpacked page link
  rm -rf "$to" && mkdir -p "$to" && tar -C "$to" --strip-components=1 -xf "$1"
  while IFS=: read -r page link; do
    link=${link#](} link=${link%%[#)]*}
    case $link in *://* | '' | *.go | ../../cmd/* | ../../ingest/* | ../../remux/* | ../../origin/* | ../../scripts/*) continue ;; esac
    [ -e "$(dirname "$page")/$link" ] || fail "$page of the archive links to $link, which is not there"
  done < <(grep -rohHE '\]\([^)]*\)' --include='*.md' "$to")
}

# --- a publisher and a player from outside ----------------------------------------

source_file() {
  need_command ffmpeg ffmpeg
  need_command curl curl
  [ -e "$work/source.flv" ] || ffmpeg -v error -nostdin -f lavfi -i testsrc2=s=320x180:r=15 -f lavfi -i sine=r=44100 -t "$source_seconds" \
    -c:v libx264 -preset veryfast -g 30 -bf 0 -pix_fmt yuv420p -c:a aac "$work/source.flv"
}

# publish URL: in the background; its process is in $publisher.
publish() {
  ffmpeg -v error -nostdin -re -i "$work/source.flv" -c copy -f flv "$1" >"$work/publisher.log" 2>&1 &
  publisher=$!
  started+=("$publisher")
}

# plays BASE: a segment of the playlist of live/demo decodes.
plays() {
  local list init segment
  list=$(curl -fsS -m 20 "$1/live/demo/fmp4/index.m3u8" 2>"$work/plays.log") || return 1
  init=$(sed -n 's/^#EXT-X-MAP:URI="\(.*\)".*/\1/p' <<<"$list" | tail -n 1)
  segment=$(grep -v '^#' <<<"$list" | grep . | tail -n 1)
  [ -n "$segment" ] || return 1
  curl -fsS -m 20 "$1/live/demo/fmp4/$init" "$1/live/demo/fmp4/$segment" >"$work/played.mp4" || return 1
  ffprobe -v error -count_packets -show_entries stream=codec_name,nb_read_packets -of csv=p=0 "$work/played.mp4" >"$work/probed" || return 1
  grep -qE '^h264,[1-9]' "$work/probed" && grep -qE '^aac,[1-9]' "$work/probed"
}

unpublish() {
  kill "$publisher" 2>/dev/null || true
  wait "$publisher" 2>/dev/null || true
}

# --- a bare Debian -----------------------------------------------------------------

# bare_debian DIR: a minimal Debian 12 of its own.
bare_debian() {
  need_command debootstrap debootstrap
  if [ ! -e "$kept/bookworm.tar" ]; then
    say "installing: a bare Debian 12 into bin/test-package"
    debootstrap --variant=minbase bookworm "$work/bookworm" >"$work/debootstrap.log" 2>&1 || { tail "$work/debootstrap.log"; fail "no bare Debian"; }
    tar -C "$work/bookworm" -cf "$kept/bookworm.tar.part" .
    rm -rf "$work/bookworm"
    mv "$kept/bookworm.tar.part" "$kept/bookworm.tar"
  fi
  mkdir -p "$1"
  tar -C "$1" -xf "$kept/bookworm.tar"
}

# inventory DIR: what is installed, without what dpkg keeps and the copies that useradd
# makes of its files.
inventory() {
  (cd "$1" && find . -xdev \( -path ./proc -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache -o -path './etc/*-' \) -prune -o -print | sort
   cat etc/passwd etc/group
   find var/log -mindepth 1 -type d | sort)
}

step_deb() {
  need_root
  source_file
  package
  local root=$work/chroot port web admin deb
  port=$(free_port) web=$(free_port) admin=$(free_port)
  deb=$(echo "$work"/dist/headwater_*_"$(dpkg --print-architecture)".deb)
  bare_debian "$root"
  mount -t proc proc "$root/proc"
  mounted=$root/proc
  inventory "$root" >"$work/before"
  cp "$deb" "$root/tmp/headwater.deb"
  run_dpkg() { chroot "$root" env LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg "$@" >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; fail "dpkg $*"; }; }
  run_dpkg -i /tmp/headwater.deb
  [ "$(chroot "$root" stat -c '%U:%G %a' /etc/headwater/headwater.yaml)" = "root:headwater 640" ] || fail "the configuration is readable for others"
  grep -q /etc/headwater/headwater.yaml <<<"$(chroot "$root" dpkg-query -W -f '${Conffiles}\n' headwater)" || fail "the configuration is no conffile"
  chroot "$root" headwater config check /etc/headwater/headwater.yaml

  # What the unit asks systemd for, by hand: folders, user, files of the unit.
  chroot "$root" install -d -o headwater -g headwater -m 0700 /var/lib/headwater
  chroot "$root" install -d -o headwater -g headwater -m 0750 /var/log/headwater
  chroot "$root" setpriv --reuid headwater --regid headwater --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \
    env -C /var/lib/headwater headwater serve --config /etc/headwater/headwater.yaml --rtmp "127.0.0.1:$port" --http "127.0.0.1:$web" --admin "127.0.0.1:$admin" \
    >"$work/server.log" 2>&1 &
  local server=$!
  started+=("$server")
  eventually 20 curl -fs -o /dev/null "http://127.0.0.1:$admin/readyz"
  [ "$(stat -c %U "/proc/$server")" != root ] || fail "the server runs as root"
  publish "rtmp://127.0.0.1:$port/live/demo?key=$(cat "$root/var/lib/headwater/publish.key")"
  eventually 30 plays "http://127.0.0.1:$web"
  unpublish
  local logged
  logged=$(wc -l <"$work/server.log")
  for _ in $(seq 20); do curl -fs -o /dev/null "http://127.0.0.1:$admin/healthz" "http://127.0.0.1:$admin/readyz"; done
  [ "$(wc -l <"$work/server.log")" -le $((logged + 1)) ] || fail "probes fill the log"
  kill -TERM "$server"
  wait "$server" || fail "the server ended with $?"

  # An operator's change stays when the package is installed again.
  echo '# mine' >>"$root/etc/headwater/headwater.yaml"
  run_dpkg -i --force-confold /tmp/headwater.deb
  grep -q '^# mine' "$root/etc/headwater/headwater.yaml" || fail "an upgrade overwrote the configuration"
  [ -s "$root/var/lib/headwater/publish.key" ] || fail "an upgrade took the state away"

  run_dpkg --remove headwater
  [ -s "$root/var/lib/headwater/publish.key" ] && [ -e "$root/etc/headwater/headwater.yaml" ] || fail "removal took configuration or state away"
  run_dpkg --purge headwater
  rm "$root/tmp/headwater.deb"
  inventory "$root" >"$work/after"
  diff "$work/before" "$work/after" || fail "purge left something"
  umount "$mounted"
  mounted=
}

# --- a Debian that has booted ------------------------------------------------------

in_vm() { ssh -i "$kept/vm.key" -p "$vm_ssh" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=10 root@127.0.0.1 "$@"; }

# make_vm: a disk with Debian's kernel, systemd and an SSH server.
make_vm() {
  [ ! -e "$kept/vm.img" ] || return 0
  say "installing: a Debian 12 that boots into bin/test-package"
  local root=$work/vm
  bare_debian "$root"
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  chroot "$root" sh -c 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    linux-image-cloud-amd64 initramfs-tools systemd-sysv udev iproute2 openssh-server curl logrotate ca-certificates' >"$work/vm.log" 2>&1 ||
    { tail "$work/vm.log"; fail "no Debian that boots"; }
  rm -f "$kept/vm.key" "$kept/vm.key.pub"
  ssh-keygen -q -t ed25519 -N '' -f "$kept/vm.key"
  install -D -m 0600 "$kept/vm.key.pub" "$root/root/.ssh/authorized_keys"
  printf '[Match]\nName=en* eth*\n[Network]\nDHCP=ipv4\n' >"$root/etc/systemd/network/20-any.network"
  chroot "$root" systemctl --quiet enable systemd-networkd ssh
  cp "$root"/boot/vmlinuz-* "$kept/vmlinuz"
  cp "$root"/boot/initrd.img-* "$kept/initrd"
  truncate -s 2G "$kept/vm.img.part"
  mkfs.ext4 -q -F -d "$root" "$kept/vm.img.part"
  mv "$kept/vm.img.part" "$kept/vm.img"
  rm -rf "$root"
}

start_vm() {
  local accel=tcg,thread=multi
  vm_ssh=$(free_port) vm_rtmp=$(free_port) vm_http=$(free_port)
  [ ! -w /dev/kvm ] || ! grep -qE '(vmx|svm)' /proc/cpuinfo || accel=kvm
  qemu-system-x86_64 -accel "$accel" -smp 2 -m 1024 -display none -serial "file:$work/console.log" -monitor none -no-reboot -snapshot \
    -kernel "$kept/vmlinuz" -initrd "$kept/initrd" -append "root=/dev/vda rw console=ttyS0 quiet" \
    -drive "file=$kept/vm.img,format=raw,if=virtio,cache=unsafe" \
    -netdev user,id=n,hostfwd=tcp:127.0.0.1:$vm_ssh-:22,hostfwd=tcp:127.0.0.1:$vm_rtmp-:1935,hostfwd=tcp:127.0.0.1:$vm_http-:8080 \
    -device virtio-net-pci,netdev=n </dev/null &
  started+=("$!")
  booted() { [ "$(timeout 10 ssh -i "$kept/vm.key" -p "$vm_ssh" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR root@127.0.0.1 systemctl is-system-running 2>/dev/null)" = running ]; }
  eventually 240 booted
}

step_boot() {
  need_root
  [ "$(dpkg --print-architecture)" = amd64 ] || die "boot is for amd64"
  need_packages qemu-system-x86 openssh-client e2fsprogs
  source_file
  package
  make_vm
  start_vm
  in_vm 'cat > /root/headwater.deb' <"$(echo "$work"/dist/headwater_*_amd64.deb)"
  local base=http://127.0.0.1:$vm_http key pid # the port is start_vm's
  in_vm 'find / -xdev -path /var/lib/dpkg -prune -o -path /var/log/journal -prune -o -path /var/cache -prune -o -path /root -prune -o -path /tmp -prune -o -path /var/tmp -prune -o -print | sort > /root/before; sort /etc/passwd > /root/users
    dpkg -i /root/headwater.deb' >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; fail "dpkg -i"; }
  [ "$(in_vm systemctl is-enabled headwater)" = enabled ] || fail "the service is not enabled"
  eventually 30 in_vm curl -fs -o /dev/null http://127.0.0.1:8081/readyz
  in_vm 'systemd-analyze security headwater.service | tail -n 1; grep -E "^(CapEff|NoNewPrivs|Seccomp):" /proc/$(systemctl show -p MainPID --value headwater)/status'
  key=$(in_vm cat /var/lib/headwater/publish.key)
  grep -q msg=listening <<<"$(in_vm journalctl -u headwater --no-pager -o cat)" || fail "the journal has no log"
  ! grep -qF "$key" <<<"$(in_vm journalctl --no-pager -o cat)" || fail "the journal has the publish key"

  publish "rtmp://127.0.0.1:$vm_rtmp/live/demo?key=$key"
  eventually 40 plays "$base"
  echo "published and played through the sandbox"

  in_vm 'printf "publish: {key: another-key-of-the-test}\n" >> /etc/headwater/headwater.yaml && systemctl reload headwater'
  eventually 15 in_vm 'journalctl -u headwater --no-pager -o cat | grep -q "configuration reloaded"'
  kill -0 "$publisher" || fail "a reload dropped the publisher"
  plays "$base" || fail "a reload stopped the stream"
  echo "reloaded, nobody dropped"

  test_handover
  eventually 40 plays "$base"
  unpublish

  pid=$(in_vm systemctl show -p MainPID --value headwater)
  in_vm dpkg -i --force-confold /root/headwater.deb >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; fail "dpkg -i again"; }
  eventually 30 in_vm curl -fs -o /dev/null http://127.0.0.1:8081/readyz
  [ "$(in_vm systemctl show -p MainPID --value headwater)" != "$pid" ] || fail "an upgrade did not restart the service"
  in_vm grep -q another-key /etc/headwater/headwater.yaml || fail "an upgrade overwrote the configuration"
  publish "rtmp://127.0.0.1:$vm_rtmp/live/demo?key=another-key-of-the-test"
  eventually 40 plays "$base"
  [ "$(in_vm 'systemctl stop headwater; systemctl show -p Result --value headwater')" = success ] || fail "the drain did not end well"
  in_vm '! journalctl -u headwater --no-pager -o cat | grep -E "cut off"' || fail "the drain cut something off"
  echo "installed again and drained"

  test_sockets
  in_vm 'systemctl disable --now headwater-http.socket headwater-rtmp.socket headwater-admin.socket; dpkg --purge headwater' >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log"; fail "purge"; }
  in_vm 'find / -xdev -path /var/lib/dpkg -prune -o -path /var/log/journal -prune -o -path /var/cache -prune -o -path /root -prune -o -path /tmp -prune -o -path /var/tmp -prune -o -print | sort | diff /root/before - ; sort /etc/passwd | diff /root/users -' >"$work/left" || true
  grep -vE '^[0-9,]+[acd][0-9,]+$|/var/lib/systemd/|/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|/etc/\.pwd\.lock$' "$work/left" | grep . && fail "purge left something"
  echo "purged, nothing left"
}

# ask_meanwhile COMMAND: runs it in the machine while requests are made there; each
# has to get an answer.
ask_meanwhile() {
  in_vm 'cat > /root/ask' <<'ASK'
n=0
until [ -e /root/enough ]; do
  curl -s -o /dev/null -m 30 http://127.0.0.1:8080/live/none.m3u8 || echo "refused: $?"
  n=$((n + 1))
done
echo "asked $n"
ASK
  in_vm "rm -f /root/enough; sh /root/ask > /root/asked & $1; sleep 2; touch /root/enough; wait; cat /root/asked" >"$work/asked"
  cat "$work/asked"
  ! grep -q refused "$work/asked" || fail "requests were refused meanwhile"
}

# test_handover: a new process takes the listeners over, without systemd holding them,
# and is the service from then on.
test_handover() {
  local before after
  before=$(in_vm systemctl show -p MainPID --value headwater)
  ask_meanwhile 'for i in 1 2 3; do systemctl kill --kill-whom=main -s USR2 headwater; sleep 3; done'
  after=$(in_vm systemctl show -p MainPID --value headwater)
  [ "$before" != "$after" ] || fail "nothing was handed over"
  [ "$(in_vm systemctl is-active headwater)" = active ] || fail "the service is not active after it was handed over"
  [ "$(in_vm pidof headwater)" = "$after" ] || fail "the processes are $(in_vm pidof headwater) and the service's is $after"
  [ "$(in_vm 'journalctl -u headwater --no-pager -o cat | grep -c "handed over"')" = 3 ] || fail "it was not handed over three times"
  publish "rtmp://127.0.0.1:$vm_rtmp/live/demo?key=another-key-of-the-test"
  echo "handed over three times, nobody refused"
}

# test_sockets: with systemd holding the listeners no request is refused while the
# server is restarted.
test_sockets() {
  in_vm 'systemctl stop headwater; systemctl enable --now headwater-http.socket headwater-rtmp.socket headwater-admin.socket; systemctl start headwater' >/dev/null 2>&1
  eventually 30 in_vm curl -fs -o /dev/null http://127.0.0.1:8081/readyz
  ask_meanwhile 'for i in 1 2 3; do sleep 2; systemctl restart headwater; done'
  publish "rtmp://127.0.0.1:$vm_rtmp/live/demo?key=another-key-of-the-test"
  eventually 40 plays http://127.0.0.1:$vm_http
  unpublish
  echo "restarted three times under socket activation, nobody refused"
}

# --- the image -----------------------------------------------------------------------

# go_image: an image with Go, Node.js and certificates, of a bare Debian and those that
# are here.
go_image() {
  local root=$work/goimage container
  need_packages ca-certificates
  bare_debian "$root"
  mkdir -p "$root/etc/ssl/certs"
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  cp -r "$(go env GOROOT)" "$root/usr/local/go"
  need_node "$PWD"
  cp "$(readlink -f "$(command -v node)")" "$root/usr/local/bin/node"
  cp -r "$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")" "$root/usr/local/lib/npm"
  ln -s ../lib/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  tar -C "$root" -cf "$work/goimage.tar" .
  rm -rf "$root"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$work/goimage.tar" / >/dev/null
  buildah config --env PATH=/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --env GOTOOLCHAIN=local \
    --env NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt "$container"
  buildah commit --quiet --rm "$container" "$1" >/dev/null
  rm "$work/goimage.tar"
}

# edge_in_front WEB PORT: nginx with the configuration of compose.yaml, in front of the
# server at WEB.
edge_in_front() {
  need_packages nginx
  local to=$work/edge
  mkdir -p "$to/cache"
  sed -e "s/server headwater:8080/server 127.0.0.1:$1/; s/listen 80;/listen 127.0.0.1:$2;/; s#/var/cache/nginx/headwater#$to/cache#" configs/deploy/compose/edge.conf >"$to/edge.conf"
  printf 'daemon off; pid %s/pid; error_log %s/error.log; events {} http { access_log off; include %s/edge.conf; }\n' "$to" "$to" "$to" >"$to/nginx.conf"
  chmod -R a+rwX "$to" && chmod a+x "$work"
  nginx -c "$to/nginx.conf" 2>>"$to/error.log" &
  started+=("$!")
  eventually 20 plays "http://127.0.0.1:$2"
  curl -fsS -o /dev/null -D - "http://127.0.0.1:$2/live/demo/fmp4/$(sed -n 's/^#EXT-X-MAP:URI="\(.*\)".*/\1/p' <(curl -fsS "http://127.0.0.1:$2/live/demo/fmp4/index.m3u8") | tail -n 1)" | grep -i '^x-cache: HIT' || fail "the edge does not cache"
}

step_image() {
  need_root
  need_packages buildah podman runc
  source_file
  local image=localhost/headwater-test-package base=${GO_IMAGE-} root commit
  commit=$(git rev-parse HEAD)
  [ -n "$base" ] || { base=localhost/headwater-test-go; made_image=$base; go_image "$base"; }
  git archive --prefix=context/ HEAD | tar -C "$work" -x
  buildah bud --isolation chroot --network host --format docker --quiet --build-arg GO_IMAGE="$base" --build-arg NODE_IMAGE="$base" \
    --build-arg TARGETOS=linux --build-arg TARGETARCH="$(go env GOHOSTARCH)" \
    --build-arg VERSION=0.0.0-image --build-arg COMMIT="$commit" --build-arg DATE="$(git show -s --format=%cI)" -t "$image" "$work/context" >/dev/null
  buildah inspect --type image --format '{{.Docker.Config.Healthcheck.Test}} {{.Docker.Config.User}} {{index .Docker.Config.Labels "org.opencontainers.image.revision"}}
' "$image" | tee "$work/inspected"
  grep -qx "\[CMD /headwater health\] 65532:65532 $commit" "$work/inspected" || fail "the image has no health check, user or label"
  container=$(buildah from "$image") # finish removes it
  root=$(buildah mount "$container")
  (cd "$root" && find . -type f | sort) >"$work/files"
  buildah umount "$container" >/dev/null
  printf '%s\n' ./LICENSE ./etc/ssl/certs/ca-certificates.crt ./headwater | diff - "$work/files" || fail "the image holds something else"
  buildah run --isolation chroot "$container" -- /headwater version | grep "commit $commit" || fail "the binary does not know its commit"
  buildah rm "$container" >/dev/null
  container=
  test_container "$image"
  buildah rmi "$image" >/dev/null
}

# in_podman: podman without what it wants of systemd and of limits above those here.
# runc, for crun of Debian 12 starts nothing where both kinds of cgroups are mounted.
in_podman() { podman --log-level fatal --runtime runc "$@"; }

# start_container IMAGE: as compose.yaml and the StatefulSet run it: nothing can be written
# but /data, no capability, nothing can be gained. It is $pod, with its log in image.log.
start_container() {
  local most
  most=$(ulimit -Hn)
  in_podman run -d --name "$pod" --network host --read-only --read-only-tmpfs=false --cap-drop all --security-opt no-new-privileges \
    --ulimit nofile="$most:$most" --ulimit nproc=4096:4096 --health-interval disable -v "$pod:/data" --env "HEADWATER_ADMIN_LISTEN=127.0.0.1:$admin" \
    "$1" serve --rtmp "127.0.0.1:$port" --http "127.0.0.1:$web" >"$work/podman.log" 2>&1 ||
    { cat "$work/podman.log" >&2; fail "podman and runc can run no container here, so that the image is built and not run"; }
  eventually 30 curl -fs -o /dev/null "http://127.0.0.1:$admin/readyz"
}

stop_container() {
  in_podman stop -t 20 "$pod" >/dev/null
  in_podman logs "$pod" >"$work/image.log" 2>&1
  [ "$(in_podman inspect --format '{{.State.ExitCode}}' "$pod")" = 0 ] || fail "the container did not end in order"
  grep -q 'msg=stopped' "$work/image.log" || fail "the server did not say that it has stopped"
  in_podman rm "$pod" >/dev/null
}

# test_container IMAGE: it runs as the first process of its container, plays, tells how it
# is, keeps its state, and ends in order.
test_container() {
  local port web admin process status
  port=$(free_port) web=$(free_port) admin=$(free_port)
  pod=headwater-test-$$ # finish removes it
  start_container "$1"
  process=$(in_podman inspect --format '{{.State.Pid}}' "$pod")
  status=$(cat "/proc/$process/status")
  grep -qP '^NSpid:\t\d+\t1$' <<<"$status" || fail "it is not the first process: $status"
  grep -qP '^Uid:\t65532\t65532\t65532\t65532$' <<<"$status" || fail "it runs as somebody else: $status"
  grep -qP '^CapEff:\t0+$' <<<"$status" && grep -qP '^NoNewPrivs:\t1$' <<<"$status" || fail "it may do more than it needs: $status"
  [ "$(ls -A "/proc/$process/root/data")" = publish.key ] || fail "/data holds $(ls -A "/proc/$process/root/data")"
  grep -q ' / ro[, ]' "/proc/$process/mountinfo" || fail "the root can be written to"
  grep -q assets/ <<<"$(curl -fsS "http://127.0.0.1:$admin/")" || fail "the image has no console"
  in_podman healthcheck run "$pod" || fail "the health check fails"
  in_podman logs "$pod" >"$work/image.log" 2>&1
  publish "rtmp://127.0.0.1:$port/live/demo?key=$(sed -n 's/.*demo?key=\([A-Z0-9]*\).*/\1/p' "$work/image.log")"
  eventually 30 plays "http://127.0.0.1:$web"
  edge_in_front "$web" "$(free_port)"

  # It cannot hand over: its container would end with it.
  in_podman kill -s USR2 "$pod" >/dev/null
  refused() { in_podman logs "$pod" 2>&1 | grep -q 'not handed over, this process goes on.*first process of its container'; }
  eventually 10 refused
  [ -e "/proc/$process" ] && kill -0 "$publisher" && plays "http://127.0.0.1:$web" || fail "SIGUSR2 ended something"
  unpublish
  stop_container
  echo "ran as the first process, played, and ended in order"

  start_container "$1"
  in_podman logs "$pod" >"$work/image.log" 2>&1
  ! grep -q 'was made now' "$work/image.log" || fail "a new container has forgotten the key"
  stop_container
  in_podman volume rm "$pod" >/dev/null
  pod=
}
