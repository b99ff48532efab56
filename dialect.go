package triage

// Dialect names a way of asking and judging: which load balancer's health check this is. What each dialect
// sends and accepts stands in the table of internal/dialect.
type Dialect string

// The dialects.
const (
	Own    Dialect = "triage"  // our own, which triage serve uses
	AWSCLB Dialect = "aws-clb" // AWS Classic Load Balancer
	AWSALB Dialect = "aws-alb" // AWS Application Load Balancer
)
