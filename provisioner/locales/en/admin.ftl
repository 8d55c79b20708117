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

log-lead = Everything that administrators did, newest first.
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
