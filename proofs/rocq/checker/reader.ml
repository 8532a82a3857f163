(* The reader of .cert files: total, and trusted to say what the bytes say.

   Every count is compared with what is left of the file before anything is made of it; whatever is wrong raises Bad
   with a message.  A number is read as m 2^e / d and handed to the maker, which makes of it what is computed with. *)

exception Bad of string
let bad form = Printf.ksprintf (fun message -> raise (Bad message)) form

(* how much may still be made of a file: its size allows so many list cells, and so many steps of the evaluator *)
type allowance = { mutable cells : float; mutable steps : float }

type cursor = { text : string; mutable at : int; stop : int; allowed : allowance }

(* what is made of a number: of a small one, of a large one *)
type 'r maker = { small : int -> int -> int -> 'r; large : Z.t -> int -> int -> 'r }

(* numbers that are read for their places alone *)
let nothing = { small = (fun _ _ _ -> ()); large = (fun _ _ _ -> ()) }

let magic = "ACNNCERT"
let version = 2

let again cursor = { cursor with allowed = { cells = infinity; steps = infinity } }
let made cursor cells what =
  cursor.allowed.cells <- cursor.allowed.cells -. cells;
  if cursor.allowed.cells < 0.0 then bad "%s is too large for a file of %d bytes" what cursor.stop
let left cursor = cursor.stop - cursor.at

let skip cursor n what =
  if n < 0 || n > left cursor then bad "the file ends in %s, at byte %d" what cursor.at;
  let here = cursor.at in
  cursor.at <- here + n;
  here

let count cursor what =
  let here = skip cursor 4 what in
  Int32.to_int (String.get_int32_le cursor.text here) land 0xffffffff

(* a count of things of which each takes at least so many bytes *)
let many cursor bytes what =
  let n = count cursor what in
  if n > left cursor / bytes then bad "%d are announced of %s, more than the file holds, at byte %d" n what (cursor.at - 4);
  n

let signed cursor what =
  let here = skip cursor 4 what in
  Int32.to_int (String.get_int32_le cursor.text here)

let below limit cursor what =
  let n = count cursor what in
  if n >= limit then bad "%s is %d, at byte %d; it must be below %d" what n (cursor.at - 4) limit;
  n

let list n item =
  let rec go n items = if n = 0 then List.rev items else go (n - 1) (item () :: items) in
  go n []

(* m and e of the float with these bits *)
let float32 bits where =
  let e = bits lsr 23 land 0xff and m = bits land 0x7fffff in
  if e = 0xff then bad "a weight is infinite or not a number, before byte %d" where;
  let m, e = if e = 0 then m, -149 else m lor 0x800000, e - 150 in
  (if bits land 0x80000000 = 0 then m else -m), e

let float64 bits where =
  let e = Int64.to_int (Int64.shift_right_logical bits 52) land 0x7ff in
  let m = Int64.to_int (Int64.logand bits 0xfffffffffffffL) in
  if e = 0x7ff then bad "a weight is infinite or not a number, before byte %d" where;
  let m, e = if e = 0 then m, -1074 else m lor 0x10000000000000, e - 1075 in
  (if Int64.compare bits 0L >= 0 then m else -m), e

let get32 cursor what =
  let here = skip cursor 4 what in
  float32 (Int32.to_int (String.get_int32_le cursor.text here) land 0xffffffff) cursor.at

let get64 cursor what =
  let here = skip cursor 8 what in
  float64 (String.get_int64_le cursor.text here) cursor.at

let get_large cursor what =
  let size = count cursor what in
  let bytes = size land 0x7fffffff in
  let here = skip cursor bytes what in
  let m = Z.of_bits (String.sub cursor.text here bytes) in
  if size = bytes then m else Z.neg m

(* rows of numbers *)
let tensor maker cursor rows columns what =
  let n = rows * columns in
  let kind = below 5 cursor ("the kind of " ^ what) in
  let divisor = count cursor ("the divisor of " ^ what) in
  if divisor = 0 || divisor > 1 lsl 30 then bad "the divisor of %s is %d, at byte %d" what divisor (cursor.at - 4);
  let room bytes = if n > left cursor / bytes then bad "%d numbers are announced of %s, more than the file holds" n what in
  let each item = list rows (fun () -> list columns item) in
  match kind with
  | 0 -> room 4; each (fun () -> let m, e = get32 cursor what in maker.small m e divisor)
  | 1 -> room 8; each (fun () -> let m, e = get64 cursor what in maker.small m e divisor)
  | 2 ->
    let e = signed cursor what in
    if abs e > 1 lsl 20 then bad "the exponent of %s is %d" what e;
    room 4; each (fun () -> maker.large (get_large cursor what) e divisor)
  | 3 -> room 4; each (fun () -> maker.small (count cursor what) 0 divisor)
  | _ ->
    (* the same number everywhere *)
    made cursor (float_of_int n) what;
    let m, e = get64 cursor what in
    let k = maker.small m e divisor in
    list rows (fun () -> list columns (fun () -> k))

let axis cursor what =
  let size name = below 16384 cursor (name ^ " of " ^ what) in
  let before = size "the padding before" in
  let after = size "the padding after" in
  let extent = size "the kernel" in
  let stride = size "the stride" in
  let dilation = size "the dilation" in
  { Certified.before; after; extent; stride; dilation }

(* as it walks, or as it is given: for every tap and output the position that is met, or 0 for none, counted from 1 *)
let walk cursor what = match below 2 cursor ("the walk of " ^ what) with
  | 0 -> Certified.Walk (axis cursor what)
  | _ ->
    let taps = below 16384 cursor ("the kernel of " ^ what) in
    let outputs = below 16384 cursor ("the outputs of " ^ what) in
    if taps * outputs > left cursor / 4 then bad "%d positions are announced of %s, more than the file holds" (taps * outputs) what;
    let position () = match below 16384 cursor ("a position of " ^ what) with 0 -> None | n -> Some (n - 1) in
    Certified.Given (list taps (fun () -> list outputs position))

let convolution maker cursor index =
  let what part = Printf.sprintf "%s of layer %d" part index in
  let feeds = many cursor 12 (what "the feeds") in
  let from = list feeds (fun () ->
    let k = count cursor (what "a feed") in
    let m, e = get64 cursor (what "a strength") in
    (k, maker.small m e 1)) in
  let padding = match below 4 cursor (what "the padding mode") with
    | 0 -> Certified.Zeros | 1 -> Certified.Reflect | 2 -> Certified.Replicate | _ -> Certified.Circular in
  let vertical = walk cursor (what "rows") in
  let horizontal = walk cursor (what "columns") in
  let split = below (1 lsl 24) cursor (what "the groups") in
  let outputs = below (1 lsl 24) cursor (what "the output channels") in
  let columns = below (1 lsl 30) cursor (what "the kernel") in
  let kernels = tensor maker cursor outputs columns (what "the kernel") in
  let biases = List.concat (tensor maker cursor outputs 1 (what "the bias")) in
  { Certified.from; padding; vertical; horizontal; split; kernels; biases }

let each_layer item cursor =
  let n = many cursor 60 "the layers" in
  let index = ref (-1) in
  list n (fun () -> incr index; item !index)

(* list cells of a pattern along an axis of n positions, and steps to walk along it: back where places go back *)
let pattern n mode walk =
  let cells = float_of_int (Certified.span walk) *. float_of_int (Certified.outputs n walk) in
  let n = float_of_int n in
  cells, match walk with
  | Certified.Walk a ->
    let back = match mode with Certified.Reflect -> float_of_int (a.before + a.after) | _ -> 1.0 in
    float_of_int a.extent *. (1.0 +. back) *. n
  | Certified.Given taps ->
    let walked (steps, at) = function
      | None -> steps, at
      | Some i -> steps +. float_of_int (if i < at then i else i - at), i in
    List.fold_left (fun steps tap -> fst (List.fold_left walked (steps, 0) tap)) 0.0 taps

(* the steps of convolutions at a point; refused if they take too many cells.  No list but those of numbers is made yet. *)
let steps cursor given layers which =
  let shapes = Hashtbl.create 64 in
  List.iteri (Hashtbl.add shapes) given;
  let size ((c, h), w) = float_of_int c *. float_of_int h *. float_of_int w in
  let layer (at, steps) l =
    let (c, h), w = match l.Certified.from with
      | (k, _) :: _ -> Option.value (Hashtbl.find_opt shapes k) ~default:((1, 1), 1)
      | [] -> (1, 1), 1 in
    let axis n walk =
      if not (Certified.serves l.padding n walk) then bad "%s is not well-formed: layer %d does not fit" which (at - List.length given);
      pattern n l.padding walk in
    let rows, down = axis h l.vertical in
    let columns, across = axis w l.horizontal in
    let outputs = List.length l.kernels in
    let met = float_of_int c *. (down *. float_of_int (Certified.span l.horizontal) +. rows *. (1.0 +. across +. columns)) in
    let result = (outputs, Certified.outputs h l.vertical), Certified.outputs w l.horizontal in
    made cursor (rows +. columns +. size result) which;
    let cells = float_of_int c *. rows *. columns in
    if cells > cursor.allowed.cells then bad "%s is too large for a file of %d bytes" which cursor.stop;
    Hashtbl.add shapes at result;
    let taps = match l.kernels with row :: _ -> float_of_int (List.length row) | [] -> 0.0 in
    let fed = float_of_int (List.length l.from + 1) *. size ((c, h), w) in
    at + 1, steps +. met +. fed +. (taps +. 1.0) *. size result in
  snd (List.fold_left layer (List.length given, 0.0) layers)

(* the layers of a network, the shapes of its values, its steps at a point; from well-formed convolutions *)
let results given shapes = List.filteri (fun i _ -> i >= List.length given) shapes
let network maker cursor given which =
  let convolutions = each_layer (convolution maker cursor) cursor in
  let steps = steps cursor given convolutions which in
  match Certified.network given convolutions with
  | None -> bad "%s is not well-formed: a list of a wrong length, a feed from a later value, or a kernel that does not fit" which
  | Some (layers, shapes) -> layers, shapes, steps

let text cursor what =
  let length = many cursor 1 what in
  String.sub cursor.text (skip cursor length what) length

let header cursor =
  let here = skip cursor 8 "the mark" in
  if String.sub cursor.text here 8 <> magic then bad "the file is no certificate: it does not begin with %s" magic;
  let got = count cursor "the version" in
  if got <> version then bad "the file is of version %d, this checker reads version %d" got version;
  text cursor "the statement"

let shape cursor what =
  let side name = below 65536 cursor (name ^ " of " ^ what) in
  let c = side "the channels" in
  let h = side "the rows" in
  let w = side "the columns" in
  if c = 0 || h = 0 || w = 0 then bad "a side of %s is 0" what;
  if c * h * w > 1 lsl 22 then bad "an input of %d x %d x %d numbers is too large" c h w;
  made cursor (float_of_int (c * h * w)) what;
  (c, h), w
let sizes ((c, h), w) = Printf.sprintf "%d x %d x %d" c h w

(* numbers of earlier values, for the first network and for the second: those of the first, and whether they agree *)
let same_numbers cursor values what =
  let numbers () = list (many cursor 4 what) (fun () -> below values cursor what) in
  let first = numbers () in
  let second = numbers () in
  first, first = second

(* the whole file, its last 16 bytes being the MD5 of the others *)
let opened path per_byte =
  let text = match open_in_bin path with
    | exception Sys_error message -> bad "%s" message
    | channel ->
      Fun.protect ~finally:(fun () -> close_in_noerr channel) (fun () ->
        match really_input_string channel (in_channel_length channel) with
        | text -> text
        | exception (Sys_error _ | End_of_file | Invalid_argument _) -> bad "%s cannot be read" path) in
  let stop = String.length text - 16 in
  if stop < 0 then bad "the file has %d bytes, too few" (String.length text);
  if Digest.substring text 0 stop <> String.sub text stop 16 then bad "the file is damaged: its sum is not that of its bytes";
  let bytes = float_of_int stop in
  { text; at = 0; stop; allowed = { cells = 2e7 +. 1e3 *. bytes; steps = 1e8 +. per_byte *. bytes } }
