package main

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/triage-lb/triage"
)

// usageError words what is wrong with the command line; the hint names the command that was meant, if one was.
func usageError(err error) error {
	hint := "triage --help lists the commands"
	if parse, ok := errors.AsType[*kong.ParseError](err); ok {
		if command := parse.Context.Selected(); command != nil {
			hint = cmp.Or(configHint(command, err), command.FullPath()+" --help shows how it is called")
		}
	}
	message := err.Error()
	if flag, _, missing := strings.Cut(message, ` value but got "EOL"`); missing { // kong's word for the end of the line
		flag, _, _ = strings.Cut(flag, ": expected ")
		message = flag + " needs a value"
	}
	return &triage.Error{Kind: triage.KindInvalid, Message: message, Hint: cmp.Or(triage.HintOf(err), hint), Err: err}
}

// configHint is the hint for a config file that stands where others take one: "triage validate triage.yaml".
func configHint(command *kong.Node, err error) string {
	file, isArgument := strings.CutPrefix(err.Error(), "unexpected argument ")
	if ext := filepath.Ext(file); !isArgument || (ext != ".yaml" && ext != ".yml") {
		return ""
	}
	for _, flags := range command.AllFlags(true) {
		for _, f := range flags {
			if f.Name == "config" {
				return fmt.Sprintf("a config file is named with -%c: -%c %s", f.Short, f.Short, file)
			}
		}
	}
	return ""
}

// emptyFlag refuses a flag that was given nothing: --admin "$ADMIN" with nothing in ADMIN must not quietly mean
// the default. A flag whose field is a pointer may be empty; its command sees the difference.
func emptyFlag(command *kong.Context) error {
	for _, part := range command.Path {
		f := part.Flag
		if f == nil || part.Resolved || f.Target.Kind() != reflect.String || f.Target.Len() > 0 {
			continue
		}
		hint := "give it a value, or leave it away for the default; is a variable of the shell empty?"
		if f.Required {
			hint = "give it a value; is a variable of the shell empty?"
		}
		return usagef(hint, "--%s is empty", f.Name)
	}
	return nil
}

// readDuration reads the value of a flag that is a length of time.
func readDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("time", &text); err != nil {
		return err
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return usagef("write "+text+"s for seconds, "+text+"ms for milliseconds", "%q has no unit", text)
		}
		return usagef("write it as 500ms, 5s or 1m", "%q cannot be read as a length of time", text)
	}
	target.SetInt(int64(d))
	return nil
}
