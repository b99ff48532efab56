package main

import (
	"fmt"

	"github.com/triage-lb/triage/internal/simulate"
)

// acts is the story. Each act begins where the one before has ended.
func (s *demoStage) acts() []demoAct {
	const c, page = "c", simulate.DefaultHealthPath
	everybody := demoNames[:]
	url := s.sick().String() + page
	oneInThree := met(map[int]int{200: 20, 500: 10}, everybody...)
	sickSpared := met(map[int]int{200: demoVisits}, "a", "b")
	allServed := met(map[int]int{200: demoVisits}, everybody...)

	return []demoAct{{
		title: "The port answers, the site does not",
		words: "The balancer checks over TCP, as load balancers do unless told otherwise. Now the database " +
			"of instance c goes away: its pages answer 500, but its port still opens. Look how it counts " +
			"as healthy while every third visitor meets an error.",
		steps: []demoStep{
			s.infect(simulate.Error500, c),
			s.runs(exitOK, 0, []string{"HEALTHY"}, "check", "-q", fmt.Sprintf("tcp://%s", s.sick())),
			s.balancerSays(s.stillHealthy()),
			s.visitors(oneInThree),
		},
		life: "triage check tcp://10.0.1.5:80",
	}, {
		title: "Ask for a page",
		words: "The button Edit Health Check, as a command: ask for a page over HTTP, and expect 200. " +
			"Soon the sick instance is out of rotation, and visitors meet no errors. Cured, it comes back by itself.",
		steps: []demoStep{
			untold(s.infect(simulate.Error500, c)),
			s.edits([]string{"protocol: http", "path: " + page},
				"health-check", "set", demoGroup, "--admin", s.places.admin.String(), "--protocol", "http", "--path", page),
			s.balancerSays(s.onlySick(500)),
			s.visitors(sickSpared),
			s.infect(simulate.Healthy, c),
			s.balancerSays(s.allHealthy()),
		},
		life: "triage health-check set app --protocol http --path /health_check",
	}, {
		title: "A redirect is not a 200",
		words: "nginx on instance c now sends all plain http to https. Browsers follow, a load " +
			"balancer does not: it sees 301, and takes the instance out.",
		steps: []demoStep{
			s.infect(simulate.RedirectHTTPS, c),
			s.balancerSays(s.onlySick(301)),
			s.visitors(sickSpared),
			s.runs(exitUnhealthy, 0, []string{" 301 in ", "nginx redirects plain http to https", "X-Forwarded-Proto: https: 200"}, "check", url),
		},
		life: "triage check 10.0.1.5:80/health_check",
	}, {
		title: "Spared by nginx, refused by Django",
		words: "The rule from that fix is in place, and nginx lets the check pass. Now Django answers 400: " +
			"it is asked for an address, and ALLOWED_HOSTS knows only names.",
		steps: []demoStep{
			s.infect(simulate.HostRejected, c),
			s.balancerSays(s.onlySick(400)),
			s.runs(exitUnhealthy, 7, []string{" 400 in ", fmt.Sprintf("Django refuses Host %q", s.sick()), "Host localhost: 200"}, "check", url),
		},
		life: "triage check 10.0.1.5:8000/health_check",
	}, {
		title: "What the load balancer sends",
		words: "This is the request as it comes to whoever listens in place of the application. Look at the Host: " +
			"a load balancer knows no mysite.com, it sends the address.",
		steps: []demoStep{s.overhears()},
		life:  "triage listen :8080   with 8080 as the health check's port",
	}, {
		title: "The address is allowed",
		words: "settings.py asks the metadata service for the machine's own address and adds it to ALLOWED_HOSTS: " +
			"the fix of act 4. The check passes, and the instance is back.",
		steps: []demoStep{
			s.infect(simulate.Healthy, c),
			s.balancerSays(s.allHealthy()),
			s.runs(exitOK, 0, []string{"HEALTHY", " 200 in "}, "check", "-q", url),
			s.visitors(allServed),
		},
		life: "triage check :8000/health_check   on the instance itself",
	}, {
		title: "Everybody sick at once",
		words: "A release forgets the address again, on all three: nobody passes the check, yet visitors who ask " +
			"by name are served. As an ALB does, triage fails open: with nobody healthy, requests go to all.",
		steps: []demoStep{
			s.infect(simulate.HostRejected, everybody...),
			s.balancerSays(s.failingOpen()),
			s.visitors(allServed),
			s.infect(simulate.Healthy, everybody...),
			s.balancerSays(s.allHealthy()),
		},
		life: "triage status --exit-code",
	}}
}
