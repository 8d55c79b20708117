# 设置向导
setup-steps = 设置步骤
setup-progress = 第 { $at } 步，共 { $of } 步
setup-step-welcome = 欢迎
setup-step-administrator = 您的账号
setup-step-name = 盒子的名称
setup-step-time = 时间
setup-step-trust = 信任
setup-step-people = 成员

setup-welcome-title = 来设置您的盒子
setup-welcome-lead = 几分钟后，您和大家就有了自己的聊天服务器。所有内容都留在这个盒子里。
setup-welcome-who = 从这里开始的人就是盒子的管理员。须在本地网络内、盒子开机后一小时之内进行。
setup-begin = 开始
setup-code = 设置码
setup-code-help = 写在盒子卡上 perch.toml 里的代码，由准备这张卡的人选定。
setup-claim-not-local = 您的设备不在盒子的本地网络里。请连接到同一个网络，再试一次。
setup-claim-too-late = 盒子开机已超过一小时。请关机再开机，就又有一小时。
setup-claim-code = 设置码不对。
setup-claim-wait = 尝试次数太多，请过一分钟再试。
setup-claim-taken = 别人已经抢先了。
setup-claim-failed = 没能认领盒子。请再试一次，或重启盒子。
setup-taken-title = 这个盒子已经有主人了
setup-taken-under-way = { $address } 上的设备从 { $time } 起正在设置它。
setup-taken-made = { $name } 于 { $time } 从 { $address } 认领了它。
setup-taken-by-card = 按照卡上的 perch.toml 文件，{ $name } 是它的管理员。
setup-taken-help = 如果不是您或您认识的人，请关掉盒子，看看有谁能进入您的网络。已开始而未完成的设置，在盒子关机再开机后作废。

setup-administrator-title = 您的账号
setup-administrator-lead = 您用这个名字和密码聊天，也用它管理盒子。
setup-account-failed = 没能创建账号：{ $detail }

setup-name-title = 盒子叫什么名字？
setup-name-lead = 大家在网络上用这个名称找到它，它也是每个人地址的一部分。
setup-name-help = 小写字母、数字和连字符。用 { $second }.local 也总能找到这个盒子。
setup-own-domain = 我有自己的域名
setup-own-domain-help = 地址就以它结尾，例如 anna@chat.example.org。它必须指向这个盒子。留空则使用上面的名称。
setup-moved-title = 盒子有了新名称
setup-moved-lead = 现在可以在 { $address } 找到它。
setup-moved-go = 到那里继续
setup-moved-help = 浏览器可能再警告一次：它第一次见到这个地址。如果找不到，请等几秒钟，或使用 { $second }.local。

setup-time-title = 现在几点？
setup-time-now = 盒子的时钟是 { $time }。
setup-time-synchronised = 时间由互联网上的时间服务器校准。
setup-time-alone = 盒子连不上时间服务器。它可以采用您设备的时间；它的时钟只往前走。
setup-time-clock = 您设备的时间（UTC）
setup-time-clock-help = 以 UTC 表示。不确定就不要改动；留空则盒子保持自己的时间。
setup-time-unreadable = 这不是时间。
setup-time-backward = 盒子的时钟比这个时间快，而它只能往前走。留空则保持不变。

trust-title = 信任这个盒子
trust-lead = 盒子自己签发证书。设备信任这些证书后，浏览器和应用连接时就不再警告。
trust-not-yet = 尚未信任
trust-light = 绿灯表示：这个浏览器信任盒子。它会自动再查看，您也可以重新加载页面。
trust-download = 下载证书
trust-download-apple = iPhone、iPad、Mac 的描述文件
trust-later = 每台设备做一次即可。以后在 /trust 还能找到本页；不做也可以继续。
trust-android = 安卓
trust-android-how =
    1. 下载证书。
    2. 设置 → 安全 → 更多安全设置 → 从存储设备安装 → CA 证书（或在设置里搜索“CA 证书”）。
    3. 选择“仍然安装”，再从下载内容里选 perch-ca.crt。
    此后 Chrome 就信任它。Conversations 会问一次是否接受证书。
trust-iphone = iPhone 和 iPad
trust-iphone-how =
    1. 用 Safari 打开本页，下载描述文件。
    2. 设置 → 已下载描述文件 → 安装。
    3. 设置 → 通用 → 关于本机 → 证书信任设置 → 打开“Perch”。
trust-windows = Windows
trust-windows-how =
    1. 下载证书并打开。
    2. 安装证书 → 当前用户 → 将所有的证书都放入下列存储 → 受信任的根证书颁发机构。
    3. 重新启动浏览器。
trust-mac = Mac
trust-mac-how =
    1. 下载描述文件并打开。
    2. 系统设置 → 隐私与安全性 → 描述文件 → 安装。
    3. 如果浏览器仍然警告：打开“钥匙串访问”，找到“Perch box”，选择“始终信任”。
trust-linux = Linux 和 Firefox
trust-linux-how =
    Firefox：设置 → 隐私与安全 → 查看证书 → 证书颁发机构 → 导入；勾选“信任由此证书颁发机构来标识网站”。
    Chrome：设置 → 隐私和安全 → 安全 → 管理证书 → 由您安装 → 导入。
    Debian 和 Ubuntu，供所有程序使用：用“openssl x509 -inform der -in perch-ca.crt -out perch-ca.pem”转换，复制为 /usr/local/share/ca-certificates/perch-ca.crt，再运行 update-ca-certificates。
trust-safe = 这样安全吗？
trust-safe-why = 这个证书只能为您自己网络里的名称和盒子的域名作担保，别的一概不能：没有人能用它伪造银行的网页。它的密钥从不离开盒子。
trust-fingerprint = 指纹（SHA-256）；卡上的 perch-status.txt 里也有：

setup-people-title = 谁和您一起用？
setup-people-lead = 一个二维码就够第一批成员用：用相机扫一扫，起个名字，就进来了。
setup-people-how-many = 多少人可以使用？
setup-people-number = 请填 1 到 200 的数字。
setup-people-invite = 生成邀请
setup-people-later = 以后再说
setup-people-made = 让大家用相机扫这个二维码，或把链接发给他们。一周内有效。
setup-finish = 完成
setup-done-certificate = 设备只有信任盒子后才认识您的域名 { $domain }。盒子可以获取所有设备都信任的证书（例如来自 Let’s Encrypt），并自动续期。
setup-done-title = 盒子准备好了
setup-done-lead = 您可以马上在浏览器里聊天，也可以从这里管理盒子。
setup-done-admin = 管理盒子
