#!/usr/bin/env bash
# Fetch the Electrum of Debian unstable, which can hold payments, into a folder of this repository:
# its files are unpacked, not installed, and the system's sources stay what they are. What it needs
# of the system (libsecp256k1) comes with Debian stable's electrum.
set -euo pipefail
cd "$(dirname "$0")/../../.."

target=$PWD/.electrum-unstable
python=${PYTHON:-python3}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
[ ! -e "$target/complete" ] || exit 0

# The mirror this machine already uses.
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1)
[ -n "$mirror" ] || { echo "no Debian mirror is configured here" >&2; exit 1; }

rm -rf "$target"
mkdir -p "$target"/{lists,cache/archives,debs,root}/partial
echo "deb [signed-by=$keyring] $mirror sid main" >"$target/sources.list"
apt=(apt-get -qq
  -o "Dir::Etc::sourcelist=$target/sources.list" -o Dir::Etc::sourceparts=-
  -o "Dir::State::lists=$target/lists" -o "Dir::Cache=$target/cache"
  -o Dir::State::status=/dev/null -o APT::Sandbox::User= -o Acquire::Languages=none)
"${apt[@]}" update
(cd "$target/debs" && "${apt[@]}" download python3-electrum/sid electrum/sid)
for deb in "$target"/debs/*.deb; do
  dpkg -x "$deb" "$target/root"
done

"$python" -m venv "$target/venv"
# Without this the bindings would compile a library that Debian has.
ELECTRUM_ECC_DONT_COMPILE=1 "$target/venv/bin/pip" install --quiet --disable-pip-version-check \
  'aiorpcx>=0.25,<0.26' aiohttp aiohttp_socks attrs certifi cryptography dnspython jsonpatch qrcode \
  'electrum-aionostr>=0.1' 'electrum-ecc>=0.0.7'
rm -rf "$target"/{lists,cache,debs}
touch "$target/complete"
