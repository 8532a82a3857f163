(* acnn-recheck: the claims of a .cert file, decided by the functions that checker/*.v prove right.

   First the whole file is read and refused if anything is wrong; then the claims are decided one after the other. *)

open Reader

(* residues modulo p < 2^31 in machine integers: no product reaches 2^62 *)
let madd p a b = let s = a + b in if s >= p then s - p else s
let mscale p k v = k * v mod p

let exact : Certified.number maker =
  let large m e d = { Certified.mantissa = m; exponent = Z.of_int e; divisor = Z.of_int d } in
  { small = (fun m e d -> large (Z.of_int m) e d); large }

let modulo p : int maker =
  let prime = Z.of_int p in
  let units = Hashtbl.create 512 in
  let unit_of e d = match Hashtbl.find_opt units (e, d) with
    | Some u -> u
    | None ->
      let e' = Z.of_int e and d' = Z.of_int d in
      if not (Certified.good prime e' d') then bad "a number with the divisor %d has no residue modulo %d" d p;
      let u = Z.to_int (Certified.unit_residue prime e' d') in
      Hashtbl.add units (e, d) u; u in
  let last_e = ref min_int and last_d = ref 0 and last = ref 0 in
  let unit_of e d =
    if e <> !last_e || d <> !last_d then (last := unit_of e d; last_e := e; last_d := d);
    !last in
  let small m e d =
    let r = m mod p in
    (if r < 0 then r + p else r) * unit_of e d mod p in
  { small; large = (fun m e d -> Z.to_int (Z.erem m prime) * unit_of e d mod p) }

(* random numbers below n < 2^62: from the system, or from a seed *)
let draw seed = match seed with
  | Some seed ->
    let state = Random.State.make [| seed; 0x5eed |] in
    fun n -> Int64.to_int (Random.State.int64 state (Int64.of_int n))
  | None ->
    let channel = try open_in_bin "/dev/urandom" with Sys_error _ -> bad "no /dev/urandom here: give --seed" in
    let rec below n =
      let x = Int64.to_int (Int64.shift_right_logical (String.get_int64_le (really_input_string channel 8) 0) 2) in
      let room = max_int / n * n in
      if x < room then x mod n else below n in
    below

(* the primes between 2^30 and 2^31, and how many there are: pi(2^31) - pi(2^30) = 105097565 - 54400028 *)
let least = 1 lsl 30
let primes = 50697537.0
let is_prime p = Certified.prime_check 65536 (Z.of_int p)
let rec random_prime draw =
  let p = least + draw least in
  if is_prime p then p else random_prime draw

(* the prime of the claim with this number about the network with these bytes: chosen by the file's hash *)
let least_named = 1 lsl 19
let named_prime network index =
  let tail = Bytes.create 4 in
  Bytes.set_int32_le tail 0 (Int32.of_int index);
  let hash = String.get_int32_le (Digest.string (network ^ Bytes.to_string tail)) 0 in
  let rec search p = if p >= 2 * least_named then search least_named else if is_prime p then p else search (p + 1) in
  search (least_named + (Int32.to_int hash land (least_named - 1)))

type certificate = {
  start : cursor; (* where the first network begins *)
  begun : float; (* the numbers that its affine forms meet *)
  steps : float; (* that it takes at a point *)
  allowed : allowance;
  shapes : ((int * int) * int) list; (* of what it is given *)
  draw : int -> int;
  bits : float;
  affordable : float (* numbers that affine forms may meet where claims are decided wholly *) }

(* the file's claims may take so many steps more *)
let take certificate steps =
  certificate.allowed.steps <- certificate.allowed.steps -. steps;
  if certificate.allowed.steps < 0.0 then
    bad "the claims take more steps than a file of this size may: --work allows more for every byte"

(* one random point: do the two networks agree there modulo p? *)
let agree certificate p second points =
  let inputs = Certified.entries certificate.shapes in
  let read cursor which =
    let layers, _, _ = network (modulo p) (again cursor) certificate.shapes which in
    layers in
  let a = read certificate.start "the first network" in
  let b = read second "the second network" in
  let point () =
    let x = Certified.cut certificate.shapes (List.init inputs (fun _ -> certificate.draw p)) in
    let run net = Certified.output 0 1 (madd p) (mscale p) net x in
    run a = run b in
  let rec go n = n = 0 || (point () && go (n - 1)) in
  go points

(* how many numbers the affine forms of a network meet: layers, weights, positions, inputs *)
let work (layers, shapes) given =
  let one layer ((_, rows), columns) =
    let weights = List.fold_left (fun n row -> n + List.length row) 0 layer.Certified.kernel in
    float_of_int weights *. float_of_int (rows * columns) in
  List.fold_left2 (fun n layer shape -> n +. one layer shape) 0.0 layers (results given shapes) *. float_of_int (Certified.entries given + 1)

(* layer by layer what magnitudes.v asks of the numbers of a network *)
let summaries cursor =
  let layer convolution = Certified.(summarise convolution.from convolution.kernels convolution.biases) in
  each_layer (fun index -> layer (convolution exact cursor index)) cursor

(* two networks over the rational numbers: wholly where that is affordable, else modulo random primes *)
let equal certificate second ended steps =
  let given = certificate.shapes in
  let sums cursor = summaries (again cursor) in
  let gap = Z.to_float (Certified.gap (sums certificate.start) (sums second) (List.length given)) in
  if (certificate.begun +. ended) *. Float.max 1.0 (gap /. 1000.0) <= certificate.affordable then
    let read cursor which = let layers, _, _ = network exact (again cursor) given which in layers in
    if Certified.whole (read certificate.start "the first network") (read second "the second network") given then
      Ok "for every input, over the rational numbers"
    else Error "the two networks are different functions over the rational numbers"
  else begin
    let odds = (gap /. 30.0 +. 1.0) /. primes +. 1.0 /. float_of_int least in
    if odds >= 0.5 then bad "the numbers of the networks have up to %.0f bits, too many for primes of 31 bits" gap;
    let trials = int_of_float (ceil (certificate.bits /. -. Float.log2 odds)) in
    take certificate (float_of_int trials *. (certificate.steps +. steps));
    let rec go left =
      if left = 0 then
        Ok (Printf.sprintf "over the rational numbers; false with probability below 2^%.0f (%d primes, coefficients of at most %.0f bits)"
          (float_of_int trials *. Float.log2 odds) trials gap)
      else
        let p = random_prime certificate.draw in
        if agree certificate p second 1 then go (left - 1)
        else Error (Printf.sprintf "the two networks differ modulo %d, hence over the rational numbers" p) in
    go trials
  end

(* where the second network is, its layers without their numbers, and the decision *)
let over_the_rationals certificate cursor =
  let second = again cursor in
  let layers, shapes, steps = network nothing cursor certificate.shapes "the second network" in
  second, layers, fun () -> equal certificate second (work (layers, shapes) certificate.shapes) steps

let modulo_prime certificate cursor number bytes =
  let p = count cursor "the modulus" in
  if p < least_named || p >= 2 * least_named then bad "the modulus %d of claim %d is not between 2^19 and 2^20" p number;
  if not (is_prime p) then bad "the modulus %d of claim %d is not prime" p number;
  let wanted = named_prime bytes number in
  if p <> wanted then bad "the modulus of claim %d is %d; the file's hash names %d" number p wanted;
  let second = again cursor in
  let _, _, steps = network (modulo p) cursor certificate.shapes "the second network" in
  let points = max 1 (int_of_float (ceil (certificate.bits /. Float.log2 (float_of_int p)))) in
  fun () ->
    take certificate (float_of_int points *. (certificate.steps +. steps));
    if agree certificate p second points then
      Ok (Printf.sprintf "modulo %d; false with probability below 2^-%.0f (%d points)" p
        (float_of_int points *. Float.log2 (float_of_int p)) points)
    else Error (Printf.sprintf "the two networks differ modulo %d" p)

(* floats that a network holds in the place of a layer's numbers: how many are perhaps not the nearest ones, and how far
   these are from their numbers at the most *)
type floats = { digits : int; least : int; loose : int; furthest : int; values : Certified.rounded list list }

let furthest cursor number =
  let furthest = signed cursor "the distance" in
  if abs furthest > 1 lsl 16 then bad "the distance of claim %d is 2^%d" number furthest;
  furthest

let floats cursor number (loose, furthest) rows columns what =
  let digits, least = match count (again cursor) ("the kind of " ^ what) with
    | 0 -> 24, -149
    | 1 | 4 -> 53, -1074
    | kind -> bad "%s of claim %d are of kind %d, no floats" what number kind in
  let maker = { small = (fun m e d ->
      if d <> 1 then bad "a rounded number of claim %d has the divisor %d" number d;
      { Certified.digits = Z.of_int m; place = Z.of_int e });
    large = (fun _ _ _ -> bad "a rounded number of claim %d is no float" number) } in
  { digits; least; loose; furthest; values = tensor maker cursor rows columns what }

(* how many floats are not the nearest ones to their numbers, and how far these are at the most *)
let rec near found = function
  | [] -> Ok found
  | (numbers, held) :: rest ->
    let nearest = Certified.rounds (Z.of_int held.digits) (Z.of_int held.least) in
    if Certified.all_near nearest numbers held.values then near found rest else
    let enough = Certified.near_enough (Z.of_int held.digits) (Z.of_int held.least) (Z.of_int held.furthest) in
    let here = List.fold_left2 (List.fold_left2 (fun n k r -> if nearest k r then n else n + 1)) 0 numbers held.values in
    if here > held.loose then Error (Printf.sprintf "%d floats are not the nearest ones to their numbers; %d are said to be" here held.loose)
    else if Certified.all_near enough numbers held.values then near ((here, held.furthest) :: found) rest
    else Error (Printf.sprintf "a float is further than 2^%d from its number" held.furthest)

let with_floats what equal pairs = match near [] pairs with
  | Error _ as no -> no
  | Ok found -> match equal () with
    | Error _ as no -> no
    | Ok holds when found = [] -> Ok (Printf.sprintf "%s; the floats are %s correctly rounded" holds what)
    | Ok holds ->
      let loose = List.fold_left (fun n (m, _) -> n + m) 0 found in
      let furthest = List.fold_left (fun n (_, m) -> max n m) min_int found in
      Ok (Printf.sprintf "%s; the floats are %s, all but %d correctly rounded, these no further than 2^%d" holds what loose furthest)

(* the second network's layers with their numbers *)
let in_full certificate second =
  let layers, _, _ = network exact (again second) certificate.shapes "the second network" in
  layers

(* the floats are the exact numbers of the second network, a single layer: W and B *)
let rounded certificate cursor number =
  let second, layers, equal = over_the_rationals certificate cursor in
  let layer = match layers with
    | [layer] -> layer
    | _ -> bad "claim %d rounds a network that is not a single layer" number in
  let rows = List.length layer.Certified.kernel and columns = List.length (List.hd layer.Certified.kernel) in
  let read cursor =
    let distance = max_int, furthest cursor number in
    let kernel = floats cursor number distance rows columns "the rounded kernel" in
    kernel, floats cursor number distance rows 1 "the rounded bias" in
  let here = again cursor in
  ignore (read cursor);
  fun () ->
    let kernel, bias = read (again here) in
    let layer = List.hd (in_full certificate second) in
    with_floats "W and B" equal [layer.Certified.kernel, kernel; List.map (fun k -> [k]) layer.Certified.bias, bias]

(* the second network's layers, with floats in the place of some of their numbers, which are long *)
let held certificate cursor number =
  let certificate = { certificate with affordable = certificate.affordable /. 50. } in
  let second, sketch, equal = over_the_rationals certificate cursor in
  let read layers cursor =
    let some index part numbers =
      let what = Printf.sprintf "the %s that layer %d holds" part index in
      match below 2 cursor what with
      | 0 -> []
      | _ ->
        let loose = count cursor what in
        let distance = loose, furthest cursor number in
        let rows = List.length numbers and columns = List.length (List.hd numbers) in
        [numbers, floats cursor number distance rows columns what] in
    let layer index each =
      let kernel = some index "kernel" each.Certified.kernel in
      kernel @ some index "bias" (List.map (fun k -> [k]) each.Certified.bias) in
    List.concat (List.mapi layer layers) in
  let here = again cursor in
  ignore (read sketch cursor);
  fun () -> with_floats "those of these layers" equal (read (in_full certificate second) (again here))

let claim certificate cursor number bytes = match below 4 cursor "the kind of a claim" with
  | 0 -> let _, _, equal = over_the_rationals certificate cursor in equal
  | 1 -> modulo_prime certificate cursor number bytes
  | 2 -> rounded certificate cursor number
  | _ -> held certificate cursor number

(* the values so far, by their shapes; and what is to be decided, in the order of the file *)
let region cursor values index options =
  let given, from = same_numbers cursor (List.length values) (Printf.sprintf "what region %d is given" index) in
  if given = [] then bad "region %d is given nothing" index;
  let shapes = List.map (List.nth values) given in
  let draw, bits, affordable = options in
  let start = again cursor in
  let layers, all, steps = network nothing cursor shapes "the first network" in
  let certificate =
    { start; begun = work (layers, all) shapes; steps; allowed = cursor.allowed; shapes; draw; bits; affordable } in
  let bytes = String.sub cursor.text start.at (cursor.at - start.at) in
  let made = if layers = [] then bad "region %d has no layers" index else List.nth all (List.length all - 1) in
  let n = many cursor 4 "the claims" in
  if n = 0 then bad "the file claims nothing of region %d" index;
  let claims = list n (let number = ref (-1) in fun () -> incr number; claim certificate cursor !number bytes) in
  let words = Printf.sprintf "A region of %d layers, %s to %s numbers"
    (List.length layers) (String.concat ", " (List.map sizes shapes)) (sizes made) in
  made, words, if from then claims else [fun () -> Error "the regions are given other values"]

let call cursor values index =
  let what = Printf.sprintf "call %d" index in
  let _, from = same_numbers cursor (List.length values) ("what " ^ what ^ " is given") in
  let first = text cursor ("the name of " ^ what) in
  let second = text cursor ("the second name of " ^ what) in
  let made = shape cursor ("what " ^ what ^ " returns") in
  made, Printf.sprintf "A call %S" first,
  [fun () -> if from && first = second then Ok "in name, in what it is given" else Error "the calls are not the same"]

let recheck path seed bits most per_byte =
  let cursor = opened path per_byte in
  let statement = header cursor in
  let options = draw seed, bits, Float.min most (5e6 +. 2500.0 *. float_of_int cursor.stop) in
  let inputs = list (many cursor 12 "the inputs") (fun () -> shape cursor "an input") in
  if statement <> "" then Printf.printf "The file says: %S\n" statement;
  let steps = many cursor 16 "the steps" in
  if steps = 0 then bad "the file claims nothing";
  let rec go index values checks =
    if index = steps then values, List.rev checks else
    let made, words, claims = match below 2 cursor "the kind of a step" with
      | 0 -> region cursor values index options
      | _ -> call cursor values index in
    go (index + 1) (values @ [made]) ((words, claims) :: checks) in
  let values, checks = go 0 inputs [] in
  let returned, same = same_numbers cursor (List.length values) "what is returned" in
  if returned = [] then bad "nothing is returned";
  if left cursor <> 0 then bad "%d bytes are left after what is returned" (left cursor);
  let number = ref (-1) in
  let decide check = incr number; match check () with
    | Ok how -> Printf.printf "Claim %d holds: equal %s.\n%!" !number how; true
    | Error why -> Printf.printf "Claim %d is false: %s.\n%!" !number why; false in
  let verdicts = List.concat_map (fun (words, claims) -> Printf.printf "%s.\n%!" words; List.map decide claims) checks in
  if not same then print_endline "The two networks return other values.";
  if same && List.for_all Fun.id verdicts then 0 else 1

let usage = "acnn-recheck FILE [--seed N] [--bits B] [--work S] [--modulo]
Re-check the claims of a certificate. Exit code 0: all hold; 1: one is false; 2: bad input.
  --seed N   repeat the random choices of an earlier run (default: from the system)
  --bits B   let a false claim pass with probability below 2^-B, where chance plays a part (default: 80)
  --work S   let the claims take S steps for every byte of the file, beside 10^8 (default: 500000)
  --modulo   decide equality over the rational numbers modulo random primes, however small the networks are"

let () =
  Gc.set { (Gc.get ()) with minor_heap_size = 1 lsl 20; space_overhead = 120 };
  let path = ref None and seed = ref None and bits = ref 80.0 and affordable = ref 2e8 and work = ref 5e5 in
  let refuse message = prerr_endline message; exit 2 in
  let rec options = function
    | [] -> ()
    | "--modulo" :: rest -> affordable := 0.0; options rest
    | "--seed" :: n :: rest when int_of_string_opt n <> None -> seed := int_of_string_opt n; options rest
    | "--bits" :: n :: rest when (match int_of_string_opt n with Some n -> n > 0 && n <= 4096 | None -> false) ->
      bits := float_of_string n; options rest
    | "--work" :: n :: rest when (match int_of_string_opt n with Some n -> n > 0 | None -> false) ->
      work := float_of_string n; options rest
    | file :: rest when !path = None && file <> "" && file.[0] <> '-' -> path := Some file; options rest
    | _ -> refuse usage in
  options (List.tl (Array.to_list Sys.argv));
  match !path with
  | None -> refuse usage
  | Some path ->
    (match recheck path !seed !bits !affordable !work with
    | code -> exit code
    | exception Bad message -> refuse ("error: " ^ message)
    | exception (Stack_overflow | Out_of_memory) -> refuse "error: the networks are too large for this machine")
