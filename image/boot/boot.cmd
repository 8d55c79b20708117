# Chooses a slot and starts it. Slots and their counters are RAUC's: BOOT_ORDER lists slots by preference,
# BOOT_x_LEFT is how often slot x may still be tried. They are in slots.env on the first partition of the disk this
# script came from (slots.bak is the copy of the last start, should a power cut tear slots.env), not in U-Boot's own
# environment: that is in flash on one machine, on the SD card on another, and nowhere on a box that starts from USB.
# Linux reaches the same file with fw_setenv.
#
# More variables are this script's own. BOOT_LAST is the slot of the last start, BOOT_PROVEN the one that was last given its tries
# back after it was started: not one on trial. BOOT_MARK marks this start, and is handed to Linux as perch.start: every card of a
# release has the same partition UUIDs, and where there are two, Linux takes the one that has the mark (image/boot/init).

setenv disk "${devtype} ${devnum}"
setenv slots_read no
setenv BOOT_ORDER
setenv BOOT_A_LEFT
setenv BOOT_B_LEFT
setenv BOOT_LAST
setenv BOOT_PROVEN
setenv BOOT_STARTS
for file in slots.env slots.bak; do
  if test "${slots_read}" = "no"; then
    if load ${disk}:1 ${kernel_addr_r} ${file}; then
      if env import -c ${kernel_addr_r} ${filesize} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT BOOT_LAST BOOT_PROVEN BOOT_STARTS; then
        setenv slots_read yes
      fi
    fi
  fi
done
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3
test -n "${BOOT_STARTS}" || setenv BOOT_STARTS 0

# Three is what RAUC gives back (boot-attempts in its system.conf), and more than any slot has left after a start.
if test "${BOOT_LAST}${BOOT_A_LEFT}" = "A3"; then
  setenv BOOT_PROVEN A
elif test "${BOOT_LAST}${BOOT_B_LEFT}" = "B3"; then
  setenv BOOT_PROVEN B
fi

setenv slot none
for candidate in "${BOOT_ORDER}"; do
  if test "${slot}" != "none"; then
    true
  elif test "${candidate}" = "A"; then
    if test ${BOOT_A_LEFT} -gt 0; then
      setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
      setenv slot A
    fi
  elif test "${candidate}" = "B"; then
    if test ${BOOT_B_LEFT} -gt 0; then
      setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
      setenv slot B
    fi
  fi
done
setenv BOOT_LAST ${slot}
if test "${slot}" = "none"; then
  echo "Perch: no slot has tries left; giving both three more"
  setenv BOOT_A_LEFT 3
  setenv BOOT_B_LEFT 3
fi

# The count alone tells two disks apart unless they were started equally often; the number depends on milliseconds.
setexpr BOOT_STARTS ${BOOT_STARTS} + 1
setenv mark_number 0
if random ${kernel_addr_r} 4; then
  setexpr.l mark_number *${kernel_addr_r}
fi
setenv mark "${BOOT_STARTS}-${mark_number}"
setenv BOOT_MARK ${mark}
env export -c -s 0x4000 ${kernel_addr_r} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT BOOT_LAST BOOT_PROVEN BOOT_STARTS BOOT_MARK
fatwrite ${disk}:1 ${kernel_addr_r} slots.bak 0x4000
fatwrite ${disk}:1 ${kernel_addr_r} slots.env 0x4000

# What counts is what can be read again: a worn card may take a write and keep nothing. Then a slot on trial that hangs would be tried for
# ever: the one that is known to work is started, if it has tries left.
setenv BOOT_MARK
if load ${disk}:1 ${kernel_addr_r} slots.env; then
  env import -c ${kernel_addr_r} ${filesize} BOOT_MARK
fi
if test "${BOOT_MARK}" != "${mark}"; then
  echo "Perch: slots.env cannot be written; this start is not counted"
  setenv mark
  setenv proven_left 0
  if test "${BOOT_PROVEN}" = "A"; then
    setenv proven_left ${BOOT_A_LEFT}
  elif test "${BOOT_PROVEN}" = "B"; then
    setenv proven_left ${BOOT_B_LEFT}
  fi
  if test "${slot}" != "${BOOT_PROVEN}"; then
    if test ${proven_left} -gt 0; then
      setenv slot ${BOOT_PROVEN}
    elif test "${slot}" = "none"; then
      setenv slot A
    fi
  fi
elif test "${slot}" = "none"; then
  reset
fi
if test "${slot}" = "A"; then
  setenv boot_part 2
  setenv system_part 4
else
  setenv boot_part 3
  setenv system_part 5
fi

# The console is on the Pi's header pins (mini UART, ttyS1) or on the first serial port (ttyAMA0); Linux ignores the one
# a machine lacks. QEMU has a mini UART that interrupts without end once it is opened: whoever edits the device tree for
# the emulator (tests/src/qemu.rs) says so there.
test -n "${fdt_addr}" || setenv fdt_addr ${fdtcontroladdr}
setenv serial_console "console=ttyS1,115200 console=ttyAMA0,115200"
fdt addr ${fdt_addr}
if fdt get value emulator /chosen perch,emulator; then
  setenv serial_console "console=ttyAMA0,115200"
fi

# What the slot's root is checked against: its count of blocks and root hash (dm-verity). Without it the initrd does not go on.
setenv system_verity
if load ${disk}:${boot_part} ${kernel_addr_r} verity.txt; then
  env import -t ${kernel_addr_r} ${filesize} system_verity
fi

echo "Perch: starting slot ${slot} from ${disk}"
part uuid ${disk}:${system_part} system_uuid
setenv bootargs "root=PARTUUID=${system_uuid} rauc.slot=${slot} perch.start=${mark} perch.verity=${system_verity} console=tty1 ${serial_console} @CMDLINE@"

# The compressed kernel, its unpacked form (up to 64 MiB) and the initrd, well apart on every board.
setexpr kernel_comp_addr_r ${kernel_addr_r} + 0x4000000
setexpr initrd_addr ${kernel_addr_r} + 0x8000000
if load ${disk}:${boot_part} ${kernel_addr_r} vmlinuz; then
  setenv kernel_comp_size 0x${filesize}
  if load ${disk}:${boot_part} ${initrd_addr} initrd.img; then
    booti ${kernel_addr_r} ${initrd_addr}:${filesize} ${fdt_addr}
  fi
fi
echo "Perch: slot ${slot} does not start"
sleep 3
reset
