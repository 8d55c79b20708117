# 许多页面共用的文字
product = Perch
skip = 跳到正文
next = 下一步
language = 语言
to-front = 回到首页
account-name = 用户名
account-name-help = 小写字母、数字、点、连字符和下划线。别人用这个名字给您发消息。
account-name-fault = 用户名由 1 到 64 个小写字母 a–z、数字、点、连字符或下划线组成。
account-name-taken = 这个名字已经有人用了，请换一个。
password = 密码
password-again = 再输入一次密码
password-help = 几个互不相干的词就很好：好记，又难猜。至少 8 个字符，没有别的规则。
password-short = 密码不足 8 个字符。
password-weak = 这个密码很快会被猜到。请用几个互不相干的词，或让浏览器推荐一个。
password-control = 密码里有无法输入的字符。
password-repeat = 两次输入的密码不一样。
host-name = 网络上的名称
host-name-fault = 名称由 1 到 40 个小写字母 a–z、数字或连字符组成，例如“perch”。
domain = 域名
domain-fault = 这不是域名。域名的样子如“chat.example.org”。
time-zone = 时区
change-failed = 没有成功，一切保持原样：{ $detail }

# 首页
front-title = 欢迎
front-lead = 这里是 { $domain } 的聊天服务器。
front-chat = 打开网页聊天
front-invited = 收到邀请了吗？打开链接，或用相机扫一扫二维码。
front-trust = 让这台设备信任盒子
front-trust-why = 这样浏览器和应用连接时不再警告。
front-admin = 管理盒子
front-admin-why = 供管理员使用：成员、聊天室、设置。

# 登录
sign-in = 登录
sign-in-title = 管理盒子
sign-in-lead = 请用管理员的账号登录。
sign-in-wrong = 用户名和密码不相符，或账号已被冻结。
sign-in-no-admin = 这个账号不是管理员。
sign-in-wait = 尝试次数太多，请过 { $n } 分钟再试。
sign-in-forgotten = 无法登录
sign-in-forgotten-how =
    忘记密码：请另一位管理员设置新密码。或者关掉盒子，把卡插入电脑，按照卡上的 perch.example.toml，在 perch.toml 里写上管理员的名字和新密码。
    尝试次数太多：在卡上放一个名为 perch-unlock 的空文件，就不用再等。

# 出错时
error-absent-title = 这里什么都没有
error-absent = 您要找的页面或内容不存在（或已不存在）。
error-form-title = 请再试一次
error-form = 表单不是从本页提交的，或页面太旧。没有任何改动。请返回，重新加载页面，再试一次。
error-refused-title = 不能这样做
error-unreadable = 无法读懂提交的内容。没有任何改动。
error-agent-title = 盒子没有回应
error-agent = 盒子里负责更改系统的部分没能完成。请过一分钟再试。如果一直这样，请重启盒子。
error-imd-title = 聊天服务器没有回应
error-imd = 它可能正在启动。请过一分钟再试。如果一直这样，请重启盒子。
error-store-title = 页面无法保存任何内容
error-store = 也许磁盘已满。如果一直这样，请重启盒子。
