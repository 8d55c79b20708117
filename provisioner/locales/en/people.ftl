# People, groups, invitations and rooms
nav-people = People
nav-groups = Groups
nav-invitations = Invitations
nav-rooms = Rooms
search = Search
add = Add
save = Save
remove = Remove
delete = Delete
revoke = Take back
copy = Copy the link
print = Print
role = Role
role-admin = Administrator
role-member = Member
role-limited = Limited
role-help = Limited: talks only with people in the same groups and in their rooms. For children, guests, pupils.
display-name = Name that others see
group = Group
group-none = None
confirm-by-name = Type “{ $name }” to confirm
done-saved = Saved.
done-added = Added.
done-deleted = Gone.
done-frozen = Frozen: nobody can sign in with this account, and its data stays.
done-thawed = The account works again.
done-closed = The device is signed out: it needs the password to come back. If its app has kept the password, make a link for a new one.
done-undone = Taken back.
done-confirmed = The network is confirmed and stays.

people-add = Add a person
people-add-lead = An invitation is easier: people choose their name and password themselves. Here you make the account for somebody.
people-import = Import a table
people-export = Save as a table
people-search = Name or part of it
people-none = Nobody is found.
people-more = More people
password-optional = Password (may stay empty)
password-optional-help = Without one, make a link for a new password afterwards, by which the person chooses it.
people-import-lead = One line for each person. The first line names the columns; only “username” is needed. All are added, or none and every fault is named.
people-import-example =
    username,display_name,groups,role
    ann,Ann A.,Class 1a;Choir,member
    tom,,Class 1a,limited
people-import-file = File
people-import-table = Table
people-import-fault = Nothing was added:
people-imported = { $n ->
    [one] One person was added.
   *[other] { $n } people were added.
  }
person-frozen = frozen
person-online = online
person-since = since { $date }
person-about = About
person-own = This is your own account: role, freezing and deleting are up to another administrator.
person-devices = Devices
person-devices-why = Signing a device out ends its connection and its notifications, and takes from it what lets it in without the password.
person-no-devices = No app is connected, and none can come back without the password.
person-device-away = An app that is not connected
person-device-since = comes in without the password, since { $date }
person-sign-out = Sign out
person-password-why = A link and a code by which this person chooses a new password. Nobody else sees it.
person-password-link = Link for a new password
person-password-made = Hand this to { $name }. It can be used once, for two days.
person-freeze = Freeze
person-freeze-why = A frozen account cannot sign in. Its messages and contacts stay.
person-thaw = End the freeze
person-delete-why = The account, its contacts, waiting messages and files go for good. What others have of its messages stays with them.
person-delete-unconfirmed = Nothing was deleted: the name that you typed is another one.

groups-lead = People of a group find each other in their apps, and have a room together.
groups-none = There are no groups yet: a class, a team, a family.
group-new = Name of a new group
group-name = Name
group-members = { $n ->
    [one] One person
   *[other] { $n } people
  }
group-room = Its room is { $room }.
group-add = Add people: their names, with spaces or commas between them
group-rename = Rename
group-delete-why = The group and its room go. The people stay.

invitation = Invitation
invitations-none = No invitation can be used at this moment.
invitation-account = Invitation
invitation-reset = New password for { $name }
invitation-uses = { $n ->
    [one] can be used once more
   *[other] can be used { $n } times more
  }
invitation-unlimited = any number of people
invitation-until = until { $time }
invitation-new = Invite
invitation-how-many = For how many people?
invitation-days = Good for how many days?
invitation-note = A note for yourself
invitation-make = Make the invitation
invitation-how = People open the link or point their camera at the code. The page helps them to an app, or straight into the web chat.
sheet-new = A sheet for a class
sheet-lead = Many codes on paper, to be cut apart. Each is for one person.
sheet-title = Title
sheet-how-many = How many codes?
sheet-make = Make the sheet
sheet-number = A sheet has 1 to 100 codes.
sheet-of = Sheet “{ $title }”
sheet-print = Print this page, and cut the codes apart. Those that have been used are not on it any more.
sheet-how = Point your camera here
card-sheet-title = Invitation to chat
card-sheet-how = Scan this with your phone’s camera. For one person, for { $days } days.

rooms-none = There are no rooms yet.
room-new = A new room
room-title = Title
room-name = Short name in its address
room-about = What it is about
room-make = Make the room
room-hidden = not in the list
room-public = In the public list of rooms
room-members-only = Only for members
room-moderated = Newcomers only read until somebody lets them speak
room-archive = Messages are kept, so that people can look them up
room-occupants = { $n ->
    [0] nobody is in it
    [one] one person is in it
   *[other] { $n } people are in it
  }
room-parts = Who has a part in it
room-who = Name or address
room-part = Part
part-owner = Owner
part-admin = Moderator
part-member = Member
part-outcast = Banned
room-keep = How long messages are kept
room-keep-how-long = In this room
room-as-all = As for all: { $time }
room-days = { $n ->
    [one] one day
   *[other] { $n } days
  }
room-for-ever = for ever
room-delete-why = Everybody leaves, and its messages go for good.
