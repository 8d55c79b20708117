# The wizard
setup-steps = Steps of the setup
setup-progress = Step { $at } of { $of }
setup-step-welcome = Welcome
setup-step-administrator = Your account
setup-step-name = Name of the box
setup-step-time = Time
setup-step-trust = Trust
setup-step-people = People

setup-welcome-title = Let’s set up your box
setup-welcome-lead = In a few minutes you and your people have a chat server of your own. Everything stays on this box.
setup-welcome-who = Whoever begins here becomes the box’s administrator. It can be done from the local network, within an hour after the box was switched on.
setup-begin = Begin
setup-code = Setup code
setup-code-help = The code in perch.toml on the box’s card, chosen by whoever prepared it.
setup-claim-not-local = Your device is not in the box’s local network. Connect it to the same network, and try again.
setup-claim-too-late = The box was switched on more than an hour ago. Switch it off and on again, and you have another hour.
setup-claim-code = That is not the setup code.
setup-claim-wait = There were too many attempts. Try again in a minute.
setup-claim-taken = Somebody else has been faster.
setup-claim-failed = The box could not be claimed. Try again, or restart it.
setup-taken-title = Somebody has this box already
setup-taken-under-way = A device at { $address } has been setting it up since { $time }.
setup-taken-made = { $name } has claimed it from { $address }, on { $time }.
setup-taken-by-card = { $name } is its administrator, by the file perch.toml on its card.
setup-taken-help = If that was not you or somebody whom you know, switch the box off and look at who can reach your network. A setup that was begun and not finished ends when the box is switched off and on.

setup-administrator-title = Your account
setup-administrator-lead = With this name and password you chat, and look after the box.
setup-account-failed = The account could not be made: { $detail }

setup-name-title = How is the box called?
setup-name-lead = By this name it is found in your network, and it is part of everybody’s address.
setup-name-help = Small letters, digits and hyphens. The box is always found as { $second }.local, too.
setup-own-domain = I have a domain of my own
setup-own-domain-help = Then addresses end in it, such as anna@chat.example.org. It has to point to this box. Leave it empty to use the name above.
setup-moved-title = The box has a new name
setup-moved-lead = It is now found at { $address }.
setup-moved-go = Go on there
setup-moved-help = Your browser may warn once more: it sees this address for the first time. If it does not find it, wait some seconds, or use { $second }.local.

setup-time-title = What time is it?
setup-time-now = The box’s clock says { $time }.
setup-time-synchronised = It is set by time servers on the internet.
setup-time-alone = The box cannot reach a time server. It can take your device’s time; its clock only goes forward.
setup-time-clock = Your device’s time (UTC)
setup-time-clock-help = In UTC. Leave it as it is, unless you know better; without an entry the box keeps its own time.
setup-time-unreadable = That is no time.
setup-time-backward = The box’s clock is ahead of this time and goes forward only. Leave the field empty to keep it.

trust-title = Trust this box
trust-lead = The box makes its own certificates. When a device trusts them, browsers and apps connect to it without a warning.
trust-not-yet = Not yet trusted
trust-light = A green light means: this browser trusts the box. It looks again by itself, or when you load the page anew.
trust-download = Download the certificate
trust-download-apple = Profile for iPhone, iPad, Mac
trust-later = Every device has to do it once. You find this page again at /trust, and you can go on without it.
trust-android = Android
trust-android-how =
    1. Download the certificate.
    2. Settings → Security → More security settings → Install from storage → CA certificate (or search the settings for “CA certificate”).
    3. “Install anyway”, and choose perch-ca.crt among the downloads.
    Chrome believes it then. Conversations asks once whether to accept the certificate.
trust-iphone = iPhone and iPad
trust-iphone-how =
    1. Open this page in Safari, and download the profile.
    2. Settings → Profile downloaded → Install.
    3. Settings → General → About → Certificate Trust Settings → switch “Perch” on.
trust-windows = Windows
trust-windows-how =
    1. Download the certificate, and open it.
    2. Install certificate → Current user → Place all certificates in the following store → Trusted Root Certification Authorities.
    3. Start the browser anew.
trust-mac = Mac
trust-mac-how =
    1. Download the profile, and open it.
    2. System Settings → Privacy & Security → Profiles → Install.
    3. If the browser still warns: open Keychain Access, find “Perch box”, and choose “Always trust”.
trust-linux = Linux and Firefox
trust-linux-how =
    Firefox: Settings → Privacy & Security → View certificates → Authorities → Import; tick “identify websites”.
    Chrome: Settings → Privacy and security → Security → Manage certificates → Installed by you → Import.
    Debian and Ubuntu, for all programs: convert it with “openssl x509 -inform der -in perch-ca.crt -out perch-ca.pem”, copy that to /usr/local/share/ca-certificates/perch-ca.crt, and run update-ca-certificates.
trust-safe = Is that safe?
trust-safe-why = The certificate can vouch for names in your own network and for the box’s domain, and for nothing else: nobody can forge a bank’s page with it. Its key never leaves the box.
trust-fingerprint = Fingerprint (SHA-256); the same stands in perch-status.txt on the card:

setup-people-title = Who is with you?
setup-people-lead = One code is enough for your first people: they point their camera at it, choose a name, and are in.
setup-people-how-many = How many people may use it?
setup-people-number = A number from 1 to 200.
setup-people-invite = Make the invitation
setup-people-later = Later
setup-people-made = Let them point their camera at this code, or send them the link. It is good for a week.
setup-finish = Done
setup-done-certificate = Devices know your domain { $domain } only after they trust the box. It can get a certificate that all devices trust by themselves, such as from Let’s Encrypt, and renew it.
setup-done-title = Your box is ready
setup-done-lead = You can chat right away in your browser, and look after the box from here.
setup-done-admin = Look after the box
