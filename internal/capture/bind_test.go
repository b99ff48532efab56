package capture

import (
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/triage-lb/triage"
)

// TestNoPermissionForThePort: whoever tests may be root, so the kernel's answer is played.
func TestNoPermissionForThePort(t *testing.T) {
	err := explainBind(":80", &net.TCPAddr{Port: 80}, os.NewSyscallError("bind", syscall.EACCES))
	if triage.KindOf(err) != triage.KindDenied || err.Error() != "listen :80: no permission for port 80" ||
		!strings.Contains(triage.HintOf(err), "setcap cap_net_bind_service=+ep") {
		t.Errorf("%s: %v, hint %q", triage.KindOf(err), err, triage.HintOf(err))
	}
}
