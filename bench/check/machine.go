//go:build linux

package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// machine says on what was measured: processor, cores, kernel.
func machine() string {
	var system unix.Utsname
	kernel := "Linux"
	if unix.Uname(&system) == nil {
		kernel += " " + unix.ByteSliceToString(system.Release[:])
	}
	text, _ := os.ReadFile("/proc/cpuinfo") // without it the processor has no name
	return fmt.Sprintf("%s, %d cores, %s", parseModel(string(text)), runtime.NumCPU(), kernel)
}

// parseModel finds the processor's name in /proc/cpuinfo; some architectures do not tell.
func parseModel(text string) string {
	for line := range strings.Lines(text) {
		if key, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
