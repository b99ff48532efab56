package main

import (
	"errors"
	"fmt"

	"github.com/triage-lb/triage"
	"github.com/triage-lb/triage/internal/control"
)

// validateCommand reads a config file and says all that is wrong with it, without a balancer.
type validateCommand struct {
	Config string `short:"c" placeholder:"FILE" help:"Config file. Default: TRIAGE_CONFIG, else ./triage.yaml, else /etc/triage/triage.yaml."`
	JSON   bool   `name:"json" help:"Print one JSON object."`
}

// validateJSON is what validate prints with --json. The names are a contract; fields are only added.
type validateJSON struct {
	Schema   string        `json:"schema"`
	File     string        `json:"file"`
	Valid    bool          `json:"valid"`
	Problems []problemJSON `json:"problems"`
	Groups   []predictJSON `json:"groups"`
}

// predictJSON is what the settings of a group's check lead to.
type predictJSON struct {
	Name triage.GroupName `json:"name"`
	control.Prediction
}

// problemJSON is one thing that is wrong, or, as a warning, doubtful.
type problemJSON struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Warning bool   `json:"warning"`
}

// Run is called by kong.
func (c *validateCommand) Run(env *environment) error {
	path, err := needConfig(env, c.Config)
	if err != nil {
		return err
	}
	file, err := control.Load(path, env.getenv)
	verdict := validateJSON{Schema: "triage.validate/1", File: path, Valid: err == nil, Problems: []problemJSON{}, Groups: []predictJSON{}}
	if faults, ok := errors.AsType[control.Faults](err); ok {
		verdict.add(faults)
	} else if err != nil && !c.JSON {
		return err // nothing was read
	} else if err != nil {
		verdict.Problems = append(verdict.Problems, problemJSON{File: path, Message: err.Error(), Hint: triage.HintOf(err)})
	} else {
		verdict.add(file.Doubts())
		for _, g := range file.Config.Groups {
			verdict.Groups = append(verdict.Groups, predictJSON{g.Name, control.Predict(g.HealthCheck)})
		}
	}
	if c.JSON {
		if err := printJSON(env.stdout, verdict); err != nil {
			return err
		}
	} else {
		verdict.print(env, file)
	}
	if err != nil {
		return exit(exitCode(err))
	}
	return nil
}

func (v *validateJSON) add(faults control.Faults) {
	for _, f := range faults {
		v.Problems = append(v.Problems, problemJSON{v.File, f.Line, f.Message, f.Hint, f.Warning})
	}
}

// print is the verdict for people: what there is if the file is right, and the problems as file:line: message, which
// editors and CI know how to follow.
func (v *validateJSON) print(env *environment, file *control.File) {
	if v.Valid {
		targets := 0
		for _, g := range file.Config.Groups {
			targets += len(g.Targets)
		}
		out := newTerminal(env, env.stdout)
		out.printf("%s: ok, %s, %s, %s\n", out.safe(v.File),
			count(len(file.Config.Listeners), "listener"), count(len(file.Config.Groups), "group"), count(targets, "target"))
		for _, g := range v.Groups {
			out.printf("  %s\n", wrap(out.safe(fmt.Sprintf("%s: %s", g.Name, foreseen(g.Prediction))), lineWidth-2, "    "))
		}
	}
	term := newTerminal(env, env.stderr)
	for _, p := range v.Problems {
		where := fmt.Sprintf("%s:%d: ", p.File, p.Line)
		if p.Warning {
			where += term.amber("warning: ")
		}
		message := p.Message
		alone := len(v.Problems) == 1 && !p.Warning
		if p.Hint != "" && !alone {
			message += " (" + p.Hint + ")"
		}
		term.printf("%s%s\n", where, term.safe(message))
		if p.Hint != "" && alone {
			term.hanging("hint: ", p.Hint)
		}
	}
}

// foreseen is how soon a check notices, for people.
func foreseen(p control.Prediction) string {
	s := fmt.Sprintf("a failure is detected after %s, a recovery after %s", p.Detect, p.Recover)
	if p.HoldDown != "" {
		s += fmt.Sprintf(", up to %s later for a target that comes and goes", p.HoldDown)
	}
	return s
}
