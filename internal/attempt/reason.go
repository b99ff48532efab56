package attempt

// Reason is why a request was not answered by a target.
type Reason uint8

// The reasons. Those of the first block say that no connection was made.
const (
	ConnectFailed Reason = iota
	ConnectTimeout
	OutOfResources

	ClosedBeforeAnswer
	BadAnswer
	ResponseTimeout

	NoGroup
	NoTarget
	AllDrain
	NoneHealthy

	BadRequest
	BodyTimeout
	ClientGone

	numReasons
)

// ReasonInfo is a row of the table of reasons.
type ReasonInfo struct {
	Name     string // kebab-case, for logs and metrics
	Status   int    // what the client is answered
	Target   bool   // the fault is the target's, as far as can be seen from here
	Sentence string // for the client; starts lower case, no full stop
}

// The status codes are the Application Load Balancer's (user guide, "Troubleshoot your Application Load
// Balancers"): 502 if the target refuses, closes or does not speak HTTP, 503 if there is no target to ask,
// 504 if connecting or answering takes too long, 460 in the logs if the client left. (The Classic Load
// Balancer says 504, not 502, when an instance closes the connection.)
var reasons = [numReasons]ReasonInfo{
	ConnectFailed:  {"connect-failed", 502, true, "no connection to a target could be made"},
	ConnectTimeout: {"connect-timeout", 504, true, "no target accepted a connection in time"},
	OutOfResources: {"out-of-resources", 503, false, "the load balancer has no descriptor or port left"},

	ClosedBeforeAnswer: {"closed-before-answer", 502, true, "the target closed the connection without an answer"},
	BadAnswer:          {"bad-answer", 502, true, "the target's answer is not valid HTTP"},
	ResponseTimeout:    {"response-timeout", 504, true, "the target did not answer in time"},

	NoGroup:     {"no-group", 503, false, "there is no group to forward to"},
	NoTarget:    {"no-target", 503, false, "no target is registered"},
	AllDrain:    {"all-drain", 503, false, "every target drains"},
	NoneHealthy: {"none-healthy", 503, false, "no target is healthy"},

	BadRequest:  {"bad-request", 400, false, "the request is not valid"},
	BodyTimeout: {"body-timeout", 408, false, "the rest of the request did not come in time"},
	ClientGone:  {"client-gone", 460, false, "the client closed the connection"},
}

// Info returns the reason's row of the table.
func (r Reason) Info() ReasonInfo { return reasons[r] }

// String is the reason's name.
func (r Reason) String() string { return reasons[r].Name }

func (r Reason) beforeConnect() bool { return r <= OutOfResources }
