# What the box's programs say to the journal and the command line, too. The English text here is how such a sentence is found
# (`src/web/said.rs`), so it is the program's to the letter, in one line; `tests/texts.rs` compares them.

# Before an update (src/update/preflight.rs, backup_age.rs, effects.rs, run.rs, kept.rs)
said-no-room = { $free } MiB are free on the data partition and { $needed } are needed, also for copies of the database, so that all can be undone: delete old messages or uploads (`imd retention`), or use a larger card
said-no-data = the data partition does not tell its free space: { $detail }
said-no-time = nothing has told the box the time since its start, so that no signature can be checked: connect it to a network with a time server, set one (`provisioner settings set time.servers=…`), or give it your device's time (page Settings, Time)
said-disk-errors = the card or disk has had { $number } errors since the start (the last: { $line }): make a backup and replace it
said-disk-fails = the disk says that it is failing ({ $why }): make a backup and replace it
said-hot = the processor is at { $degrees } °C: give the box air, and try again when it has cooled down
said-low-voltage = the power supply's voltage is too low: use the Raspberry Pi's own supply, and a short cable
said-strain = the power supply or the heat was bad { $number } times since the start (the last: { $line }): use the Raspberry Pi's own supply with a short cable, give the box air, and restart it
said-backup-first = { $what }: plug the stick in or start the target and make a backup, or make one for downloading (page Backups, or `provisioner backup now`); `provisioner update install --without-backup` installs all the same
said-backup-none = a place for nightly backups is set up, and none has been made yet
said-backup-damaged = the newest backup was damaged when it was tried
said-backup-old = the newest backup is { $days } days old
said-not-newer = version { $version } is not newer than { $running }, which runs; `--downgrade` installs it all the same
said-not-undone = what the last update has changed is not all undone yet: restart the box, which does the rest (page Power, or `provisioner power restart`)
said-not-known = no newer version is known any more
said-interrupted = the program that installed it was ended before it was done
said-schema-gap = version { $version } cannot read the database any more: the version that runs has changed it from schema { $old } to { $new }. To go back all the same, write the image of version { $version_again } to a card and restore a backup that was made before the update

# The publisher's list and server (src/update/channel.rs, fetch.rs, slots.rs)
said-no-publisher = no place for updates is set: give one in the settings (`provisioner settings set updates.url=https://…`), or give a file
said-other-channel = the list is for channel "{ $channel }" in format { $format }; wanted: "{ $wanted }" in format 1
said-list-outside = the list names a bundle outside its folder: { $name }
said-not-https = { $file }: url is "{ $url }"; accepted: an address that begins with https://
said-list-refused = { $url } is refused: { $detail }
said-list-unsigned = it is not signed by the publisher whom this box trusts: { $detail }
said-list-foreign = { $url } is not understood: { $detail }
said-fetching = fetching { $url }: { $detail }
said-stalled = the server stopped sending, and was given up after five minutes ({ $detail }); try again later
said-server-late = the server did not answer in time: look whether the box reaches the internet, and try again later
said-no-reason = RAUC gave no reason

# A bundle (src/update/reasons.rs, job.rs)
said-file-refused = the file is refused: { $detail }
said-expired = the bundle was signed with a key that has expired ({ $detail }): look for a newer release of the publisher's, or ask the publisher to sign this one anew
said-not-yet-valid = the bundle was signed with a key that is not valid yet ({ $detail }): look whether the box's clock is right, and connect it to a network with a time server
said-revoked = the bundle was signed with a key that has been taken back ({ $detail }): look for a newer release of the publisher's, or ask the publisher to sign this one anew
said-changed = the bundle is not signed by whom this box trusts, or was changed ({ $detail }): take a release from this box's own publisher, and send it again
said-not-trusted = the bundle is not signed by whom this box trusts ({ $detail }): take a release from this box's own publisher, and send it again
said-other-board = the bundle is for another kind of box ({ $detail }): take the release for this board, whose name is in the file's
said-older = the bundle is older than what runs ({ $detail }): take a newer one, or `provisioner update install FILE --downgrade` to install it all the same
said-full = the disk is full ({ $detail }): delete old messages or uploads (`imd retention`), or use a larger card
said-old-rauc = the RAUC of this box does not understand its kernel, so it cannot install updates ({ $detail }): make a backup, write the newer image to the box's card, and restore the backup
said-damaged-on-its-way = the bundle was changed or damaged on its way ({ $detail }): download it again, and send or install it once more
said-not-complete = the bundle is not complete ({ $detail }): download it again, and send or install it once more
said-no-bundle = the bundle is not complete, or is none ({ $detail }): download it again, and send or install it once more
said-not-read = the bundle could not be read to its end, or was changed ({ $detail }): download it again, and send or install it once more
said-no-answer = the server did not answer in time ({ $detail }): look whether the box reaches the internet, and try again later

# A version on trial (src/update/health.rs, machine_start.rs, login.rs, tls.rs)
said-never-started = the new version did not start: its kernel, its first programs or its files were not sound
said-started-once = the new version started, and stopped or hung before it could be tried
said-started-often = the new version started { $number } times, and stopped or hung each time before it could be tried
said-started-no-more = the new version did not start any more after it had been accepted
said-chat-ended = the chat server ended { $number } times while starting: { $detail }
said-chat-waits = the chat server did not start within 5 minutes; the system still waited for { $detail }
said-chat-absent = the chat server did not start: { $detail }
said-chat-stopped = the chat server stopped by itself within a minute: { $detail }
said-chat-account = the chat server cannot make an account: { $detail }
said-chat-login = logging in and sending a message does not work: { $detail }
said-chat-refused = the server refused the login: { $detail }
said-chat-no-session = the server gave no session: { $detail }
said-chat-late = the server did not { $what } in time; it said: { $detail }
said-chat-closed = the server closed the connection and did not { $what }; it said: { $detail }
said-not-listening = the server does not listen on { $address }: { $detail }
said-nothing = it said nothing
said-not-settled = the system did not finish starting: { $detail }
said-page-absent = the box's page does not come: { $detail }
said-no-address = the box has no address in its network any more, as it had with the version before
said-no-gateway = the box has no gateway in its network any more, as it had with the version before
said-clock-before = the clock is before the time at which the new version was made
said-clock-back = the clock went back by { $seconds } s in the restart into the new version
said-not-writable = the data partition cannot be written: { $detail }
said-slot-damaged = slot { $slot } has damaged blocks: the card may be failing
said-units-failed = these units failed: { $detail }
said-not-verified = slot { $slot } is not checked by its hashes: { $detail }
said-no-random = the system gives no random numbers
said-no-authority = the box has no certificate authority

# Sticks, and room for backups (src/update/stick_copy.rs, src/backup/)
said-stick-gone = the stick is not plugged in any more: plug it in again, and choose the file anew
said-stick-no-file = there is no file { $name } in the stick's top folder: copy it there, plug the stick in again, and choose it anew
said-stick-no-room = there is no room for the file: { $needed } MiB are needed and { $free } are free; delete old messages or uploads (`imd retention`), or use a larger card or disk
said-stick-pulled = the stick was pulled out, or cannot be read any more, so that nothing was installed: plug it in again and leave it there, or copy the file to another stick ({ $detail })
said-came = { $number } of { $bytes } bytes came
said-stick-none = no stick was accepted
said-stick-absent = the accepted stick is not plugged in
said-stick-another = another stick with the label PERCH-BACKUP is plugged in than the accepted one
said-stick-format = the stick is formatted in a way that the box does not know (it knows FAT32, exFAT and ext4)
said-stick-mounting = mounting the stick { $model }: { $detail }
said-stick-unlabelled = no stick with the label PERCH-BACKUP is plugged in
said-stick-formatted = the stick is formatted as { $format }, and the box knows FAT32, exFAT and ext4
said-stick-empty = there is no backup on the stick
said-backup-absent = there is no backup named { $name }
said-backup-name = { $name } is no backup's name
said-backup-not-fetched = { $name } was not fetched
said-backup-full = { $free } MiB are free and { $needed } are needed
said-backup-unpack = { $free } MiB are free and { $needed } are needed to unpack the backup
said-backup-fetch = { $free } MiB are free and { $needed } are needed to fetch and unpack the backup
said-backup-no-key = there is no recovery key yet: make one on the page Backups
said-backup-nothing = there is no backup on the box that could be sent
said-backup-foreign = this is no backup of a Perch box
said-backup-wrong-key = the recovery key does not open this backup
said-backup-is-damaged = the backup is damaged: { $detail }
said-backup-newer = the backup was made by version { $version }, and this box has { $own }
said-restore-waits = another restore waits for the next start
said-busy = something else is under way: { $what }

# A disk (src/disk/smart.rs)
said-disk-expects = it expects to fail
said-disk-attribute = { $name } is beyond its limit
said-disk-unreadable = { $number } sectors cannot be read
