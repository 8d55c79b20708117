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
home-disk-errors = 存储卡或磁盘报告错误。请立即备份，然后更换。
home-disk-full = 磁盘已满。请删除旧消息或文件，或换用更大的卡或磁盘。
home-low-voltage = 电源功率不足：请使用官方电源，并拔掉由盒子 USB 供电的设备。
home-hot = 处理器过热并已降速。请改善通风，或加装散热片或风扇。
home-memory-low = 内存即将用尽。请在空闲时重启盒子；如果再次发生，请用支持文件寻求帮助。
home-disk-soon = 照此下去，磁盘几周内就会满。请删除旧消息和文件，或换用更大的磁盘。
home-worn = 存储即将到达寿命。请备份，并在几周内更换。
home-drill-failed = 检验最新备份时无法恢复。请查看“备份”，并重新备份。
home-backup-failed = 上次备份到 U 盘没有成功。请查看“备份”。
home-no-backup = 盒子运行正常，但最近一个月没有备份。请在“备份”中做一次。
home-time-alone = 没有服务器告诉盒子时间。它可以采用此设备的时间。
home-no-time = 盒子运行正常，但连不上时间服务器。请检查它的网络连接，或在设置中指定时间服务器。
home-update-failed = 上次更新没有成功，盒子继续运行之前的版本。请查看“更新”。
home-update-available = 一切正常，并且有新版本。请查看“更新”。
home-messages = 每分钟消息数
home-answer = 应答时间
home-answer-how = 聊天服务器，在盒子上测得
home-disk = 剩余空间
home-disk-of = 共 { $size }
home-disk-days = { $n ->
   *[other] 照此速度 { $n } 天后满
  }
home-disk-used = 已用磁盘
home-temperature = 温度
home-throttled = 因过热而降速
home-not-throttled = 全速运行
home-clock = 处理器
home-voltage-low = 电压过低
home-voltage-good = 电压正常
home-memory = 可用内存
home-memory-of = 共 { $size }
home-memory-used = 已用内存
home-wear = 存储磨损
home-wear-how = 占其寿命
home-disk-failing = 磁盘报告自己即将损坏。请立即备份，然后更换。
home-disk-health = 磁盘健康
home-disk-good = 良好
home-disk-worn-out = 已磨损
home-disk-fails = 即将损坏：请立即备份并更换
home-disk-not-told = 转接器不提供
home-disk-worn = 寿命已用 { $percent } %
home-disk-unreadable = { $n ->
   *[other] { $n } 个扇区无法读取
  }
home-disk-replaced = { $n ->
   *[other] { $n } 个扇区已被替换
  }
home-history = 历史
home-day = 一天
home-month = 30 天
home-no-history = 盒子运行时间还不够长，暂无内容。请几分钟后再看。
home-most = 最高 { $most }
home-picture = { $title }：介于 { $least } 和 { $most } 之间，现在 { $last }。
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

log-lead = 管理员所做的一切（在这些页面、应用、程序和命令行中），以及大家的举报，最新的在前。
log-half = 聊天服务器没有响应：这里缺少通过它自己的命令、应用和程序所做的操作。
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
power-planned = 计划
power-planned-restart = 盒子将于 { $time } 重启（{ $who } 的计划）。
power-planned-shut-down = 盒子将于 { $time } 关机（{ $who } 的计划）。
power-plan = 在指定的时间
power-plan-why = 只执行一次，日期和时间以盒子自己的时钟和时区为准。如果盒子在此之前重启（例如因为更新），计划就会取消。
power-clock = 盒子的时钟显示 { $time }。
power-plan-what = 盒子要做什么
power-plan-at = 日期和时间
power-plan-make = 定下计划
power-plan-cancel = 取消计划
power-plan-invalid = 请选择一年之内、按盒子的时钟尚未过去的日期和时间。
