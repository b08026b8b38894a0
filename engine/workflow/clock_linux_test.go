package workflow

import (
	"syscall"
	"time"
	"unsafe"
)

// threadTime returns the time for which the calling thread has run, which other
// programs on a busy machine do not lengthen.
func threadTime() time.Duration {
	const clockThreadCPU = 3
	var ts syscall.Timespec
	if _, _, failed := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clockThreadCPU, uintptr(unsafe.Pointer(&ts)), 0); failed != 0 {
		return time.Since(started)
	}
	return time.Duration(ts.Nano())
}
