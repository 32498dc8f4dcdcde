// A stock client of a transparency log: Go's own module for checksum databases, on the tiles of C2SP tlog-tiles.
//
//	go run . URL KEY [SIZE ROOT]
//
// It checks the checkpoint's signature, that every entry is in the tree under it, and, if an earlier SIZE and ROOT (base64)
// are given, that the tree continues that one. It prints size and root; what does not hold ends it with exit code 1.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

type tiles struct{ url string }

func (t tiles) Height() int { return height }

func (t tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		// tlog names a tile's height in its path, tlog-tiles does not: there it is always 8.
		data, err := get(t.url + "/" + strings.Replace(tile.Path(), "tile/8/", "tile/", 1))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func (t tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func get(url string) ([]byte, error) {
	answer, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func hash(text string) tlog.Hash {
	var made tlog.Hash
	data, err := base64.StdEncoding.DecodeString(text)
	check(err)
	if len(data) != tlog.HashSize {
		log.Fatalf("a hash of %d bytes", len(data))
	}
	copy(made[:], data)
	return made
}

// head gives the tree of a checkpoint that the key has signed.
func head(url string, key string) tlog.Tree {
	verifier, err := note.NewVerifier(key)
	check(err)
	data, err := get(url + "/checkpoint")
	check(err)
	signed, err := note.Open(data, note.VerifierList(verifier))
	check(err)
	lines := strings.Split(signed.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		log.Fatalf("no checkpoint of %s: %q", verifier.Name(), signed.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	check(err)
	return tlog.Tree{N: size, Hash: hash(lines[2])}
}

// entries reads all entries of a log of that size.
func entries(url string, size int64) [][]byte {
	var found [][]byte
	for first := int64(0); first < size; first += 1 << height {
		width := min(size-first, 1<<height)
		path := tlog.Tile{H: height, L: -1, N: first >> height, W: int(width)}.Path()
		data, err := get(url + "/" + strings.Replace(path, "tile/8/data/", "tile/entries/", 1))
		check(err)
		for len(data) >= 2 {
			length := 2 + int(binary.BigEndian.Uint16(data))
			found = append(found, data[2:length])
			data = data[length:]
		}
	}
	return found
}

func main() {
	log.SetFlags(0)
	url, key := os.Args[1], os.Args[2]
	tree := head(url, key)
	reader := tlog.TileHashReader(tree, tiles{url})
	found := entries(url, tree.N)
	if int64(len(found)) != tree.N {
		log.Fatalf("%d entries of %d", len(found), tree.N)
	}
	for index, entry := range found {
		proof, err := tlog.ProveRecord(tree.N, int64(index), reader)
		check(err)
		check(tlog.CheckRecord(proof, tree.N, tree.Hash, int64(index), tlog.RecordHash(entry)))
	}
	if len(os.Args) > 3 {
		size, err := strconv.ParseInt(os.Args[3], 10, 64)
		check(err)
		proof, err := tlog.ProveTree(tree.N, size, reader)
		check(err)
		check(tlog.CheckTree(proof, tree.N, tree.Hash, size, hash(os.Args[4])))
	}
	fmt.Println(tree.N, base64.StdEncoding.EncodeToString(tree.Hash[:]))
}
