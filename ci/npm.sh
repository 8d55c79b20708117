# What ci/web-chat and ci/charts share, beside ci/lib.sh, which the build root is made from.
# shellcheck shell=bash

# unpack_locked FOLDER PACKAGE WORK: fetch the package as FOLDER/package-lock.json names it and unpack it into WORK/package.
# npm's own installation would bring dependencies and run scripts: the archive is fetched alone, and held to the lock's checksum here.
unpack_locked() {
    local lock=$1/package-lock.json package=$2 work=$3 version integrity archive found
    locked() { node -p "require('./$lock').packages['node_modules/$package'].$1"; }
    version=$(locked version) integrity=$(locked integrity)
    npm pack --silent --pack-destination "$work" "$package@$version" >&2 || die "npm could not fetch $package" \
        "look at npm's message above; the version is in $lock"
    archive=$(echo "$work/$package"-*.tgz)
    found=sha512-$(openssl dgst -sha512 -binary "$archive" | base64 -w0)
    [ "$found" = "$integrity" ] || die "$package $version is not what the lock names: found $found, locked $integrity" \
        "compare with the registry; if it is right, refresh $lock with npm install --package-lock-only"
    tar -xzf "$archive" -C "$work"
}
