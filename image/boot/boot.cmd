# Chooses a slot and starts it. Slots and their counters are RAUC's: BOOT_ORDER lists slots by preference,
# BOOT_x_LEFT is how often slot x may still be tried. They are in slots.env on the first partition of the disk this
# script came from (slots.bak is the copy of the last start, should a power cut tear slots.env), not in U-Boot's own
# environment: that is in flash on one machine, on the SD card on another, and nowhere on a box that starts from USB.
# Linux reaches the same file with fw_setenv.

setenv disk "${devtype} ${devnum}"
setenv slots_read no
setenv BOOT_ORDER
setenv BOOT_A_LEFT
setenv BOOT_B_LEFT
for file in slots.env slots.bak; do
  if test "${slots_read}" = "no"; then
    if load ${disk}:1 ${kernel_addr_r} ${file}; then
      if env import -c ${kernel_addr_r} ${filesize} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT; then
        setenv slots_read yes
      fi
    fi
  fi
done
test -n "${BOOT_ORDER}" || setenv BOOT_ORDER "A B"
test -n "${BOOT_A_LEFT}" || setenv BOOT_A_LEFT 3
test -n "${BOOT_B_LEFT}" || setenv BOOT_B_LEFT 3

setenv slot none
for candidate in "${BOOT_ORDER}"; do
  if test "${slot}" != "none"; then
    true
  elif test "${candidate}" = "A"; then
    if test ${BOOT_A_LEFT} -gt 0; then
      setexpr BOOT_A_LEFT ${BOOT_A_LEFT} - 1
      setenv slot A
      setenv boot_part 2
      setenv system_part 4
    fi
  elif test "${candidate}" = "B"; then
    if test ${BOOT_B_LEFT} -gt 0; then
      setexpr BOOT_B_LEFT ${BOOT_B_LEFT} - 1
      setenv slot B
      setenv boot_part 3
      setenv system_part 5
    fi
  fi
done
if test "${slot}" = "none"; then
  echo "Perch: no slot has tries left; giving both three more"
  setenv BOOT_A_LEFT 3
  setenv BOOT_B_LEFT 3
fi

env export -c -s 0x4000 ${kernel_addr_r} BOOT_ORDER BOOT_A_LEFT BOOT_B_LEFT
fatwrite ${disk}:1 ${kernel_addr_r} slots.bak 0x4000
fatwrite ${disk}:1 ${kernel_addr_r} slots.env 0x4000
if test "${slot}" = "none"; then
  reset
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
setenv bootargs "root=PARTUUID=${system_uuid} rauc.slot=${slot} perch.verity=${system_verity} console=tty1 ${serial_console} @CMDLINE@"

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
