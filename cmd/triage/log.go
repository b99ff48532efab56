package main

import "log/slog"

// logFlags are the flags of commands that run for long.
type logFlags struct {
	LogFormat string `enum:"text,json" default:"text" help:"Format of the log on stderr: text or json."`
	LogLevel  string `enum:"debug,info,warn,error" default:"info" help:"Least level that is logged: debug, info, warn or error."`
}

func (f logFlags) logger(env *environment) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(f.LogLevel)) // one of the enum's words
	// A target's words are in the log, and the log may be read on a terminal.
	out := asciiWriter{env.stderr}
	options := &slog.HandlerOptions{Level: level}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
