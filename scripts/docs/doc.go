// Package docs holds the documentation against the program: its tests run the
// commands of README.md and configs/docs against a real server and follow every
// link.
//
// # What is run
//
// A fenced block says in its first line what it is:
//
//	```sh test             run with bash, has to end well within a minute
//	```sh test background  goes on until the page is done; what it serves or publishes
//	                       has to be there before something else is run
//	```text output         what the block before has to print, among other lines and in
//	                       this order; … stands for anything within a line
//	```yaml test           a configuration file that the server accepts
//
// All other blocks are for reading. Those of one page are run in their order in
// one folder, which is empty but for film.mp4; README.md's in the root of the
// sources. A page with the line
//
//	<!-- docs: server -->  or  <!-- docs: server stream -->
//
// finds a server running, and two segments of live/demo published. The default
// ports that a page names are replaced by free ones.
package docs
