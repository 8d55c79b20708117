# What many pages share.
product = Perch
skip = To the content
next = Next
language = Language
to-front = To the front page
account-name = Name
account-name-help = Small letters, digits, dots, hyphens and underscores. People write to you at this name.
account-name-fault = A name has 1 to 64 small letters a–z, digits, dots, hyphens or underscores.
account-name-taken = Somebody has this name already. Choose another one.
password = Password
password-again = Password, once more
password-help = Some unrelated words make a good one: easy for you, hard to guess. At least 8 characters, no other rules.
password-short = The password has fewer than 8 characters.
password-weak = This password would be guessed soon. Take a few unrelated words, or let your browser propose one.
password-control = The password has characters that cannot be typed.
password-repeat = The two passwords differ.
host-name = Name on the network
host-name-fault = A name has 1 to 40 small letters a–z, digits or hyphens, such as “perch”.
domain = Domain
domain-fault = That is no domain. One looks like “chat.example.org”.
time-zone = Time zone
change-failed = That did not work, and everything is as it was: { $detail }

# The front page
front-title = Welcome
front-lead = This is the chat server of { $domain }.
front-chat = Open the web chat
front-invited = Do you have an invitation? Open its link, or point your camera at its code.
front-trust = Make this device trust the box
front-trust-why = So that browsers and apps connect without a warning.
front-admin = Look after the box
front-admin-why = For administrators: people, rooms, settings.

# Signing in
sign-in = Sign in
sign-in-title = Look after the box
sign-in-lead = Sign in with the account of an administrator.
sign-in-wrong = Name and password do not go together, or the account is frozen.
sign-in-no-admin = This account is not an administrator’s.
sign-in-wait = { $n ->
    [one] There were too many attempts. Try again in a minute.
   *[other] There were too many attempts. Try again in { $n } minutes.
  }
sign-in-forgotten = I cannot get in
sign-in-forgotten-how =
    A forgotten password: another administrator can set a new one. Or switch the box off, put its card into a computer, and write the administrator’s name and a new password into perch.toml, as perch.example.toml beside it shows.
    Too many attempts: an empty file named perch-unlock on the card ends the wait.

# What does not work
error-absent-title = There is nothing here
error-absent = The page or thing that you asked for does not exist (any more).
error-form-title = Please try again
error-form = The form did not come from this page, or the page was too old. Nothing was changed. Go back, load the page anew, and try again.
error-refused-title = That cannot be done
error-unreadable = What was sent cannot be read. Nothing was changed.
error-agent-title = The box does not answer
error-agent = The part of the box that changes its system could not do that. Try again in a minute. If it stays so, restart the box.
error-imd-title = The chat server does not answer
error-imd = It may be starting. Try again in a minute. If it stays so, restart the box.
error-store-title = The pages cannot remember anything
error-store = Perhaps the disk is full. If it stays so, restart the box.
