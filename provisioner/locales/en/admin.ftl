# The administrators' pages
nav = Areas
nav-home = Overview
nav-log = Log
nav-sessions = Sign-ins
nav-power = Power
sign-out = Sign out
hours = { $n ->
    [0] under an hour
    [one] one hour
   *[other] { $n } hours
  }

home-well = All is well.
home-disk-errors = The card or disk reports errors. Make a backup now, then replace it.
home-disk-full = The disk is full. Delete old messages or uploads, or use a larger card or disk.
home-low-voltage = The power supply is too weak: use the official one, and unplug what the box feeds by USB.
home-hot = The processor is too hot and slows down. Give the box air, a heat sink or a fan.
home-memory-low = Memory is nearly used up. Restart the box at a quiet hour; if it happens again, ask for help with a support file.
home-disk-soon = The disk is full in a few weeks if it goes on like this. Delete old messages and uploads, or use a larger one.
home-worn = The storage is nearly worn out. Make a backup, and replace it in the next weeks.
home-drill-failed = The newest backup could not be restored when it was tried. Look at Backups, and make another one.
home-backup-failed = The last backup to the stick did not work. Look at Backups.
home-no-backup = The box works, but has no backup of the last month. Make one at Backups.
home-time-alone = No server tells the box the time. It can take that of this device.
home-no-time = The box works, but reaches no time server. Look at its connection to the internet, or name a time server in the settings.
home-update-failed = The last update did not work, and the box goes on with the version before. Look at Updates.
home-update-available = All is well, and a newer version is available. Look at Updates.
home-messages = Messages a minute
home-answer = Answers within
home-answer-how = the chat server, asked on the box itself
home-disk = Space left
home-disk-of = of { $size }
home-disk-days = { $n ->
    [one] full in a day, at this rate
   *[other] full in { $n } days, at this rate
  }
home-disk-used = Disk in use
home-temperature = Temperature
home-throttled = slowed down by the heat
home-not-throttled = at full speed
home-clock = Processor
home-voltage-low = voltage too low
home-voltage-good = voltage good
home-memory = Memory free
home-memory-of = of { $size }
home-memory-used = Memory in use
home-wear = Storage worn
home-wear-how = of its life
home-disk-failing = The disk says that it is failing. Make a backup now, then replace it.
home-disk-health = Health of the disk
home-disk-good = good
home-disk-worn-out = worn
home-disk-fails = failing: replace it, backup now
home-disk-not-told = not told by the adapter
home-disk-worn = { $percent } % of its life are over
home-disk-unreadable = { $n ->
    [one] one sector cannot be read
   *[other] { $n } sectors cannot be read
  }
home-disk-replaced = { $n ->
    [one] one sector was replaced
   *[other] { $n } sectors were replaced
  }
home-history = How it was
home-day = A day
home-month = 30 days
home-no-history = The box has not been running for long enough to show anything. Look again in some minutes.
home-most = at most { $most }
home-picture = { $title }: between { $least } and { $most }, now { $last }.
home-no-chat = The chat server does not answer. Wait a minute; if it stays so, restart the box.
home-network-trial = The network was changed and goes back by itself, unless you confirm it.
home-not-set-up = The setup is not finished.
home-go-on = Go on with it
home-online = People online
home-of-people = of { $n }
home-rooms = Rooms
home-uptime = Running for
home-version = Version
home-slot = slot { $slot }

log-lead = Everything that administrators did, on these pages, in apps, by programs and on the command line, and what people reported; newest first.
log-half = The chat server does not answer: what was done by its own commands, in apps and by programs is missing here.
log-empty = Nothing has been done yet.

sessions-lead = Browsers that have signed in to these pages. End what you do not know.
sessions-own = this one
sessions-times = Since { $since }, last seen { $seen }
sessions-end = End

power-restart = Restart
power-restart-why = Chat stops for about a minute. Apps come back by themselves, and no message is lost.
power-restarting = The box restarts
power-restarting-how = It is back in about a minute. This page then goes on by itself; without scripts, use the button.
power-back = Back to the pages
power-shut-down = Shut down
power-shut-down-why = Nobody can chat until the box is switched on again, by its plug.
power-shutting-down = The box shuts down
power-safe = It is safe to pull the plug when the green light on the board has stopped blinking and stays dark, after about twenty seconds. Until then it is still writing.
power-planned = Planned
power-planned-restart = The box restarts { $time }, as { $who } has planned.
power-planned-shut-down = The box shuts down { $time }, as { $who } has planned.
power-plan = At a chosen time
power-plan-why = Once, at a day and time of the box’s own clock and time zone. If the box is restarted before that, for an update, say, the plan is gone.
power-clock = Its clock says { $time }.
power-plan-what = What the box does
power-plan-at = Day and time
power-plan-make = Plan it
power-plan-cancel = Give the plan up
power-plan-invalid = Choose a day and time that has not passed by the box’s clock, within the next year.
