# Updates
nav-updates = Updates
update-lead = A new version is written beside the one that runs, while everybody chats. Then the box restarts into it and tries it out. If something does not work, the box goes back by itself.
update-state = Newer versions
update-version = version { $version }
update-version-before = the version before
update-nothing = No newer version is known.
update-available = Version { $version } is available.
update-checking = The publisher is being asked.
update-begins = It begins in a moment.
update-preflight = The box is being looked at, before version { $version } is installed.
update-downloading = Version { $version } is being downloaded, and written beside the one that runs. Everybody can go on chatting.
update-percent = { $percent } % done
update-rate = { $size } a second
update-left = { $n ->
    [0] nearly done
    [one] about a minute left
   *[other] about { $n } minutes left
  }
update-restarting = The box restarts into version { $version }.
update-restarting-how = It is away for a minute or two, and apps come back by themselves. This page then goes on by itself; without scripts, use the button.
update-trial = Version { $version } runs on trial. The box looks for some minutes whether everything works, and goes back by itself if not. Everybody can chat.
update-leaving = The new version did not work. The box restarts into the one before.
update-kept = Version { $version } works, and is kept. No newer version is known.
update-failed = Version { $version } was not kept, and the box runs on with version { $running }. The reason: { $detail }
update-interrupted = The installation of version { $version } was interrupted. Nothing has changed by it; try again.
update-waiting = This page looks again by itself.
update-journal = What the new version logged
update-journal-what = A text file for whoever helps you. People’s names and addresses may be in it.
update-install = Install version { $version } and restart
update-install-why = The download takes some minutes, in which everybody goes on chatting. Then the box restarts; people reconnect by themselves, and no message is lost. A backup before is never wrong:
update-publisher = Where new versions come from
update-publisher-fault = What is written down about the publisher cannot be used: { $detail }
update-no-publisher = No publisher is set, so the box asks nobody for newer versions. To set one, sign in to the box by SSH, and write this line, with the publisher’s own address, into the file /etc/perch/update.toml:
update-by-file = Without a publisher, a version is installed from a file: provisioner update install FILE
update-checked = The publisher was last asked { $time }.
update-never-checked = The publisher has not been asked yet.
update-automatic = The box asks once a day, and installs newer versions by itself at night.
update-by-hand = The box asks once a day, and installs nothing by itself.
update-check = Look now
update-check-failed = { $time }: the publisher could not be asked, or its list was refused. { $detail }
update-not-begun = { $time }: it was not begun. { $detail }
update-box = On this box
update-running = Slot { $slot } runs { $version }.
update-running-somewhere = The box runs { $version }.
update-other = Slot { $slot } has { $version }.
update-other-first = Slot { $slot } has what the card was written with.
update-other-written = Slot { $slot } is being written.
update-back = Go back to { $version }
update-back-why = The box restarts, and people reconnect by themselves. What they have written stays. If the other version does not work any more, the box comes back to this one.
update-damaged = Parts of the running system are damaged: the card may be failing. Make a backup now, then install an update, or use another card.
update-refused = That cannot be done now: { $detail }
update-refused-busy = That cannot be done now: an update is under way. Wait until it is over.
update-refused-changed = Something has changed since the page was opened. Look at what it says now.
