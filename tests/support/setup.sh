#!/bin/sh
# Makes sure that the native packages are there: `setup.sh compile` for building and the demo,
# `setup.sh all` for the tests as well. Silent and quick when nothing is missing. On Debian and
# Ubuntu it installs what is missing as root or with passwordless sudo; elsewhere it prints the
# command to run and fails.
set -u

have() { command -v "$1" >/dev/null 2>&1; }
have_file() { for path in "$@"; do [ -e "$path" ] && return 0; done; return 1; }

have_libclang() {
  [ -n "${LIBCLANG_PATH:-}" ] && return 0
  have_file /usr/lib/llvm-*/lib/libclang*.so* /usr/lib/*/libclang*.so* /usr/lib64/libclang*.so* \
    /usr/lib64/llvm*/lib*/libclang*.so* /usr/local/lib/libclang*.so*
}

# librdkafka's TLS; openssl-sys finds it by pkg-config.
have_openssl() { pkg-config --exists 'openssl >= 1.1.1' 2>/dev/null; }

# Reads the version from the JRE's release file: starting a JVM would cost more than all the rest.
have_java() {
  java=$(command -v java) || return 1
  release=$(readlink -f "$java")
  release=${release%/bin/java}/release
  if [ -r "$release" ]; then
    version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$release")
  else
    version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
  fi
  [ "${version:-0}" -ge 17 ]
}

have_postgres() { have initdb || have_file /usr/lib/postgresql/*/bin/initdb; }

have_chromium() {
  [ -n "${CHROMIUM:-}" ] || have chromium || have chromium-browser || have google-chrome
}

packages=
need() { packages="$packages $1"; }

have_libclang || need libclang-dev
have c++ || have g++ || need g++
have make || need make
have pkg-config || need pkg-config
have_openssl || need libssl-dev
if [ "${1:-all}" = all ]; then
  have openssl || need openssl
  have_java || need java
  have mvn || need maven
  have_postgres || need postgresql
  have_chromium || need chromium
  have python3 || need python3
fi
[ -z "$packages" ] && exit 0

os=
[ -r /etc/os-release ] && os=$(. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}")
case " $os " in
  *" debian "*) ;;
  *)
    echo "missing on this system (names of the Debian packages):$packages" >&2
    echo "(java stands for a JRE of version 17 or later)" >&2
    exit 1
    ;;
esac

# On Ubuntu the package `chromium` is a snap, which cannot be installed in a container and does not
# see files below /tmp.
name_chrome=no
case " $os: $packages" in
  *ubuntu*chromium*)
    name_chrome=yes
    packages=$(echo "$packages" | sed 's/ chromium//')
    ;;
esac
finish() {
  [ "$name_chrome" = no ] && exit 0
  echo "missing: chromium. On Ubuntu please take the Debian package of Google Chrome:" >&2
  echo "  curl -fLO https://dl.google.com/linux/direct/google-chrome-stable_current_amd64.deb" >&2
  echo "  sudo apt-get install -y ./google-chrome-stable_current_amd64.deb" >&2
  exit 1
}
[ -z "$packages" ] && finish

if [ "$(id -u)" = 0 ]; then
  as_root=
elif have sudo && sudo -n true 2>/dev/null; then
  as_root='sudo -n'
else
  as_root=no
fi

# The first JRE of a fitting version that this release of the distribution has.
jre() {
  for version in 21 17 25; do
    name=openjdk-$version-jre-headless
    [ -n "$(apt-cache show "$name" 2>/dev/null)" ] && echo "$name" && return
  done
  echo openjdk-17-jre-headless
}

resolve() {
  resolved=
  for name in $packages; do
    [ "$name" = java ] && name=$(jre)
    resolved="$resolved $name"
  done
}

if [ "$as_root" = no ]; then
  resolve
  echo "missing packages; please run:" >&2
  echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends$resolved" >&2
  exit 1
fi

echo "installing:$packages" >&2
$as_root apt-get -q update >&2 || exit 1
resolve
# shellcheck disable=SC2086 # word splitting is wanted: a list of packages, an optional command
$as_root env DEBIAN_FRONTEND=noninteractive \
  apt-get -q install -y --no-install-recommends $resolved >&2 </dev/null || exit 1
finish
