package engine

import (
	"strconv"
	"testing"
	"unsafe"
)

// TestSlotIsSmall: there is one for each target, and a hundred thousand targets.
func TestSlotIsSmall(t *testing.T) {
	if strconv.IntSize != 64 {
		t.Skip("words are smaller here")
	}
	if size := unsafe.Sizeof(slot{}); size != 160 {
		t.Errorf("%d bytes, want 160", size)
	}
}
