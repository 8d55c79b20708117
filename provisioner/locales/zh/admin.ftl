# 管理页面
nav = 区域
nav-home = 概览
nav-log = 日志
nav-sessions = 登录
nav-power = 电源
sign-out = 退出
hours = { $n ->
    [0] 不到一小时
   *[other] { $n } 小时
  }

home-well = 一切正常。
home-no-chat = 聊天服务器没有回应。请等一分钟；如果一直这样，请重启盒子。
home-network-trial = 网络已更改，如不确认会自动恢复原样。
home-not-set-up = 设置尚未完成。
home-go-on = 继续设置
home-online = 在线人数
home-of-people = 共 { $n } 人
home-rooms = 聊天室
home-uptime = 已运行
home-version = 版本
home-slot = 分区 { $slot }

log-lead = 管理员做过的一切，最新的在前。
log-empty = 还没有任何操作。

sessions-lead = 登录过这些页面的浏览器。不认识的请结束。
sessions-own = 当前
sessions-times = 始于 { $since }，最近使用 { $seen }
sessions-end = 结束

power-restart = 重启
power-restart-why = 聊天会中断约一分钟。应用会自动恢复连接，消息不会丢失。
power-restarting = 盒子正在重启
power-restarting-how = 大约一分钟后恢复。本页会自动继续；没有脚本时请用按钮。
power-back = 回到页面
power-shut-down = 关机
power-shut-down-why = 在重新插上电源开机之前，谁都不能聊天。
power-shutting-down = 盒子正在关机
power-safe = 大约二十秒后，板上的绿灯停止闪烁并熄灭，这时可以安全地拔掉电源。在此之前它还在写入。
