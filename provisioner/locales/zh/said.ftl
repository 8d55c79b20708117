# 盒子的程序说的话；英文原文见 `locales/en/said.ftl`。

# 更新之前
said-no-room = 数据分区有 { $free } MiB 可用，需要 { $needed } MiB（包括数据库的副本，以便一切都能撤销）：请删除旧消息或文件（`imd retention`），或换用更大的卡
said-no-data = 数据分区没有说明可用空间：{ $detail }
said-no-time = 启动以来还没有任何来源告诉盒子时间，因此无法检查签名：请把盒子接到有时间服务器的网络，设置一个时间服务器（`provisioner settings set time.servers=…`），或使用您设备的时间（“设置”页面的“时间”）
said-disk-errors = 启动以来存储卡或磁盘出现了 { $number } 次错误（最后一次：{ $line }）：请备份，然后更换
said-disk-fails = 磁盘报告自己即将损坏（{ $why }）：请备份，然后更换
said-hot = 处理器温度为 { $degrees } °C：请让盒子通风，冷却后再试
said-low-voltage = 电源电压过低：请使用 Raspberry Pi 原装电源和较短的线缆
said-strain = 启动以来电源或温度出现了 { $number } 次问题（最后一次：{ $line }）：请使用 Raspberry Pi 原装电源和较短的线缆，让盒子通风，然后重启
said-backup-first = { $what }：请插入 U 盘或打开备份目标并备份，或制作一个供下载的备份（“备份”页面，或 `provisioner backup now`）；`provisioner update install --without-backup` 可以不备份就安装
said-backup-none = 已指定每晚备份的位置，但还没有做过备份
said-backup-damaged = 试读最近的备份时发现它已损坏
said-backup-old = 最近的备份是 { $days } 天前的
said-not-newer = 版本 { $version } 不比正在运行的 { $running } 新；`--downgrade` 可以仍然安装
said-not-undone = 上次更新的改动还没有全部撤销：请重启盒子，它会完成其余部分（“电源”页面，或 `provisioner power restart`）
said-not-known = 已经没有已知的新版本
said-interrupted = 安装它的程序没有做完就结束了
said-schema-gap = 版本 { $version } 已经无法读取数据库：正在运行的版本把它从格式 { $old } 改成了 { $new }。如果仍要退回，请把版本 { $version_again } 的映像写到卡上，并恢复更新之前的备份

# 发布者的列表和服务器
said-no-publisher = 没有设置更新的来源：请在设置中填写（`provisioner settings set updates.url=https://…`），或提供文件
said-other-channel = 该列表属于频道“{ $channel }”，格式 { $format }；需要的是“{ $wanted }”，格式 1
said-list-outside = 列表指向了自己文件夹之外的文件：{ $name }
said-not-https = { $file }：url 是“{ $url }”；可接受：以 https:// 开头的地址
said-list-refused = 不接受 { $url }：{ $detail }
said-list-unsigned = 它没有本盒子信任的发布者的签名：{ $detail }
said-list-foreign = 无法理解 { $url }：{ $detail }
said-fetching = 获取 { $url } 时：{ $detail }
said-stalled = 服务器停止发送，五分钟后已放弃（{ $detail }）；请稍后再试
said-server-late = 服务器没有及时回答：请检查盒子能否连接互联网，并稍后再试
said-no-reason = RAUC 没有说明原因

# 发行文件
said-file-refused = 不接受该文件：{ $detail }
said-expired = 该文件用已过期的密钥签名（{ $detail }）：请寻找发布者更新的版本，或请发布者重新签名
said-not-yet-valid = 该文件用尚未生效的密钥签名（{ $detail }）：请检查盒子的时间，并把它接到有时间服务器的网络
said-revoked = 该文件用已吊销的密钥签名（{ $detail }）：请寻找发布者更新的版本，或请发布者重新签名
said-changed = 该文件不是由本盒子信任的人签名，或已被改动（{ $detail }）：请使用本盒子发布者的发行文件，并重新发送
said-not-trusted = 该文件不是由本盒子信任的人签名（{ $detail }）：请使用本盒子发布者的发行文件，并重新发送
said-other-board = 该文件适用于另一种盒子（{ $detail }）：请使用适用于本板的文件，文件名中有板的名称
said-older = 该文件比正在运行的版本旧（{ $detail }）：请使用更新的文件，或用 `provisioner update install FILE --downgrade` 仍然安装
said-full = 磁盘已满（{ $detail }）：请删除旧消息或文件（`imd retention`），或换用更大的卡
said-old-rauc = 本盒子的 RAUC 不认识其内核，因此无法安装更新（{ $detail }）：请备份，把更新的映像写到盒子的卡上，然后恢复备份
said-damaged-on-its-way = 该文件在传输中被改动或损坏（{ $detail }）：请重新下载，再次发送或安装
said-not-complete = 该文件不完整（{ $detail }）：请重新下载，再次发送或安装
said-no-bundle = 该文件不完整，或不是发行文件（{ $detail }）：请重新下载，再次发送或安装
said-not-read = 该文件无法完整读取，或已被改动（{ $detail }）：请重新下载，再次发送或安装
said-no-answer = 服务器没有及时回答（{ $detail }）：请检查盒子能否连接互联网，并稍后再试

# 试运行的版本
said-never-started = 新版本没有启动：它的内核、最初的程序或文件有问题
said-started-once = 新版本启动了，但在能够检验之前停止或卡住
said-started-often = 新版本启动了 { $number } 次，每次都在能够检验之前停止或卡住
said-started-no-more = 新版本在被接受之后无法再启动
said-chat-ended = 聊天服务器在启动时结束了 { $number } 次：{ $detail }
said-chat-waits = 聊天服务器在 5 分钟内没有启动；系统仍在等待 { $detail }
said-chat-absent = 聊天服务器没有启动：{ $detail }
said-chat-stopped = 聊天服务器在一分钟内自行停止：{ $detail }
said-chat-account = 聊天服务器无法创建账号：{ $detail }
said-chat-login = 无法登录并发送消息：{ $detail }
said-chat-refused = 服务器拒绝登录：{ $detail }
said-chat-no-session = 服务器没有给出会话：{ $detail }
said-chat-late = 服务器没有及时完成（{ $what }）；它说：{ $detail }
said-chat-closed = 服务器关闭了连接，没有完成（{ $what }）；它说：{ $detail }
said-not-listening = 服务器没有在 { $address } 上监听：{ $detail }
said-nothing = 它什么也没说
said-not-settled = 系统没有完成启动：{ $detail }
said-page-absent = 盒子的页面打不开：{ $detail }
said-no-address = 盒子在网络中不再有地址，而之前的版本有
said-no-gateway = 盒子在网络中不再有网关，而之前的版本有
said-clock-before = 时钟早于新版本的制作时间
said-clock-back = 重启进入新版本时，时钟倒退了 { $seconds } 秒
said-not-writable = 无法写入数据分区：{ $detail }
said-slot-damaged = 分区 { $slot } 有损坏的块：存储卡可能即将损坏
said-units-failed = 这些单元失败了：{ $detail }
said-not-verified = 分区 { $slot } 没有按其散列校验：{ $detail }
said-no-random = 系统没有给出随机数
said-no-authority = 盒子没有证书颁发机构

# U 盘，以及备份的空间
said-stick-gone = U 盘已不在：请重新插入，并重新选择文件
said-stick-no-file = U 盘的根目录中没有文件 { $name }：请把它复制到那里，重新插入 U 盘，并重新选择
said-stick-no-room = 没有空间存放该文件：需要 { $needed } MiB，可用 { $free } MiB；请删除旧消息或文件（`imd retention`），或换用更大的卡或磁盘
said-stick-pulled = U 盘被拔出，或无法再读取，因此没有安装任何东西：请重新插入并不要拔出，或把文件复制到另一个 U 盘（{ $detail }）
said-came = { $bytes } 字节中只收到 { $number }
said-stick-none = 没有确认过 U 盘
said-stick-absent = 确认过的 U 盘没有插入
said-stick-another = 插入的是另一个名为 PERCH-BACKUP 的 U 盘，不是确认过的那一个
said-stick-format = 盒子不认识 U 盘的格式（它认识 FAT32、exFAT 和 ext4）
said-stick-mounting = 挂载 U 盘 { $model } 时：{ $detail }
said-stick-unlabelled = 没有插入名为 PERCH-BACKUP 的 U 盘
said-stick-formatted = U 盘的格式是 { $format }，而盒子认识 FAT32、exFAT 和 ext4
said-stick-empty = U 盘上没有备份
said-backup-absent = 没有名为 { $name } 的备份
said-backup-name = { $name } 不是备份的名称
said-backup-not-fetched = { $name } 没有取回
said-backup-full = 可用 { $free } MiB，需要 { $needed } MiB
said-backup-unpack = 可用 { $free } MiB，解开备份需要 { $needed } MiB
said-backup-fetch = 可用 { $free } MiB，获取并解开备份需要 { $needed } MiB
said-backup-no-key = 还没有恢复密钥：请在“备份”页面制作
said-backup-nothing = 盒子上没有可以发送的备份
said-backup-foreign = 这不是 Perch 盒子的备份
said-backup-wrong-key = 恢复密钥打不开这个备份
said-backup-is-damaged = 备份已损坏：{ $detail }
said-backup-newer = 该备份由版本 { $version } 制作，而本盒子是 { $own }
said-restore-waits = 另一个恢复正在等待下次启动
said-busy = 正在进行其他操作：{ $what }

# 磁盘
said-disk-expects = 它预计会损坏
said-disk-attribute = { $name } 超出限度
said-disk-unreadable = { $number } 个扇区无法读取
