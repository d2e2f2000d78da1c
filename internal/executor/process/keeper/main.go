package keeper

import (
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The files that a keeper has in its directory.
const (
	socketFile = "keeper.sock"
	lockFile   = "keeper.lock"
	markFile   = "keeper.id"
)

// The exit codes of Main.
const (
	// ExitLocked: another keeper has the directory.
	ExitLocked = 75
	exitUsage  = 2
	exitFailed = 1
)

// ReadyLine is written to standard output once the keeper listens.
const ReadyLine = "ready\n"

// Main runs a keeper until it has had nothing to keep for a while, or is told to
// end by SIGTERM. args are --dir DIR, the directory that it shares with its agent,
// and --idle DURATION. It logs to standard error and returns the exit code.
func Main(args []string) int {
	flags := flag.NewFlagSet("keeper", flag.ContinueOnError)
	dir := flags.String("dir", "", "the agent's state directory")
	idle := flags.Duration("idle", time.Minute, "how long to stay without anything to keep")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil)).With("keeper", os.Getpid())
	if *dir == "" || !filepath.IsAbs(*dir) || flags.NArg() > 0 {
		log.Error("want --dir and an absolute path", "dir", *dir)
		return exitUsage
	}
	if err := closeInherited(); err != nil {
		log.Warn("what the keeper has inherited stays open", "error", err)
	}
	switch err := run(*dir, *idle, log); {
	case errors.Is(err, errLocked):
		return ExitLocked
	case err != nil:
		log.Error("the keeper ends", "error", err)
		return exitFailed
	}
	return 0
}

var errLocked = errors.New("another keeper has this directory")

func run(dir string, idle time.Duration, log *slog.Logger) error {
	signals := make(chan os.Signal, 8)
	// Caught, not ignored: children would inherit that. Only SIGTERM says something
	// to a keeper; a closed terminal or pipe must not end it.
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE)
	lock, err := takeLock(filepath.Join(dir, lockFile))
	if err != nil {
		return err
	}
	// Whoever gets the lock next finds no process of this keeper any more: the kernel lets
	// go of it once this one has ended, and nobody before.
	defer runtime.KeepAlive(lock)
	marker, err := readMarker(filepath.Join(dir, markFile))
	if err != nil {
		return err
	}
	k, err := New(marker, idle, log)
	if err != nil {
		return err
	}
	defer k.fence.close()
	k.atHome = func() bool { return holds(lock) }
	l, err := listen(dir)
	if err != nil {
		return err
	}
	go k.starter(marker + ":")
	go k.collector()
	go k.timers()
	go k.serve(l)
	if _, err := io.WriteString(os.Stdout, ReadyLine); err != nil {
		log.Info("nobody waits for this keeper", "error", err)
	}
	log.Info("the keeper is ready", "about", k.About())
	for {
		select {
		case sig := <-signals:
			if sig == unix.SIGTERM {
				log.Info("told to end")
				k.leave()
			}
		case <-k.over:
			// The socket goes before the lock does, so that it is never the next
			// keeper's. In a directory that has replaced this one's it is.
			if holds(lock) {
				l.Close()
			}
			log.Info("nothing is left to keep")
			return nil
		}
	}
}

// takeLock locks path until the process ends.
func takeLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errLocked
		}
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return f, nil
}

// holds says whether lock is still the file of that name: it is not once the directory
// was removed or replaced.
func holds(lock *os.File) bool {
	mine, err := lock.Stat()
	if err != nil {
		return true
	}
	now, err := os.Stat(lock.Name())
	if err != nil {
		// A disk that fails for a moment says nothing of whose the directory is.
		return !errors.Is(err, os.ErrNotExist)
	}
	return os.SameFile(mine, now)
}

// readMarker returns the directory's own word, made up once. Behind it stands which file
// this is: in a copy of the directory it is another, whose keeper must not take for its own,
// and kill, what the first one runs.
func readMarker(path string) (string, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var is unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &is); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	this := fmt.Sprintf("%d:%d", is.Dev, is.Ino)
	var b [64]byte
	n, _ := f.ReadAt(b[:], 0) // what can't be read is made up anew
	if word, file, _ := strings.Cut(strings.TrimSpace(string(b[:n])), " "); isWord(word) && (file == "" || file == this) {
		return word, nil
	}
	word := strings.ToLower(rand.Text()[:wordLen])
	if err := f.Truncate(0); err != nil {
		return "", err
	}
	_, err = f.WriteAt([]byte(word+" "+this+"\n"), 0)
	return word, err
}

// wordLen is the length of a directory's own word.
const wordLen = 16

// isWord says whether s may be a directory's own word: lower-case letters and digits.
func isWord(s string) bool {
	return len(s) == wordLen && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz234567") == ""
}

func listen(dir string) (net.Listener, error) {
	path, done, err := SocketPath(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	// The lock is held, so that a socket here is nobody's.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	old := unix.Umask(0o177)
	defer unix.Umask(old)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false)
	return &listener{UnixListener: ul, path: filepath.Join(dir, socketFile)}, nil
}

// listener removes its socket by its real name: the one it was made by may have
// been a detour.
type listener struct {
	*net.UnixListener
	path string
}

func (l *listener) Close() error {
	err := os.Remove(l.path)
	return errors.Join(err, l.UnixListener.Close())
}
