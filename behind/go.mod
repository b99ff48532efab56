module github.com/triage-lb/triage/behind

go 1.26.0
