module github.com/triage-lb/triage/behind/aws

go 1.26.0

require (
	github.com/aws/aws-sdk-go-v2 v1.47.7
	github.com/aws/aws-sdk-go-v2/feature/ec2/imds v1.20.7
	github.com/triage-lb/triage/behind v0.0.0
)

require github.com/aws/smithy-go v1.28.8 // indirect

replace github.com/triage-lb/triage/behind => ../
