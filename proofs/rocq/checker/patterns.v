(******************************************************************************)
(*      Convolutions as torch states them, checked and made into patterns     *)
(*                                                                            *)
(* Nothing is padded or cut to make a network fit: a layer with a list of the *)
(* wrong length, a feed from a value that is not there yet, groups that do not*)
(* divide, or a mirror longer than the image, is refused.                     *)
(*                                                                            *)
(*   source mode n before j == what position j of the padded axis copies      *)
(*   axis == before, after, extent (of the kernel), stride, dilation          *)
(*   walk == an axis, or any pattern, written out: zeros between positions    *)
(*              (transposed convolutions), repetitions, and with one tap for  *)
(*              every weight all interpolation along an axis                  *)
(*   compile shapes l == the layer of a convolution and the shape of its      *)
(*              result, or None if it is not well-formed                      *)
(*   network ss ls == the whole network, of inputs of shapes ss, or None      *)
(******************************************************************************)
Require Import List Arith Bool Lia.
From AlgebraicCNN.checker Require Import evaluator.
Import ListNotations.

Inductive mode := Zeros | Reflect | Replicate | Circular.
Record axis := Axis { before : nat; after : nat; extent : nat; stride : nat; dilation : nat }.
(* how a kernel meets the positions along an axis: as it walks, or as it is given, tap by tap *)
Inductive walk := Walk (a : axis) | Given (p : list (list (option nat))).
Coercion Walk : axis >-> walk.
Record convolution (R : Type) := Convolution {
  from : list (nat * R);
  padding : mode;
  vertical : walk;
  horizontal : walk;
  split : nat;
  kernels : list (list R);
  biases : list R }.
Arguments Convolution {R}.
Arguments from {R}.
Arguments padding {R}.
Arguments vertical {R}.
Arguments horizontal {R}.
Arguments split {R}.
Arguments kernels {R}.
Arguments biases {R}.

Definition inside (n i : nat) : option nat := if i <? n then Some i else None.
Definition source (m : mode) (n before j : nat) : option nat :=
  match m with
  | Zeros => if before <=? j then inside n (j - before) else None
  | Reflect => inside n (if j <? before then before - j
                         else if j - before <? n then j - before
                         else 2 * (n - 1) - (j - before))
  | Replicate => inside n (Nat.min (j - before) (n - 1))
  | Circular => inside n ((j + before * (n - 1)) mod n)
  end.
Definition size (n : nat) (a : axis) : nat :=
  (before a + n + after a - (dilation a * (extent a - 1) + 1)) / stride a + 1.
Definition pattern (m : mode) (n : nat) (a : axis) : list (list (option nat)) :=
  map (fun t => map (fun u => source m n (before a) (u * stride a + t * dilation a)) (seq 0 (size n a)))
      (seq 0 (extent a)).
Definition fits (m : mode) (n : nat) (a : axis) : bool :=
  (0 <? n) && (0 <? extent a) && (0 <? stride a) && (0 <? dilation a)
  && (dilation a * (extent a - 1) <? before a + n + after a)
  && match m with
     | Zeros | Replicate => true
     | Reflect => (before a <? n) && (after a <? n)
     | Circular => (before a <=? n) && (after a <=? n)
     end.

Definition same_shape (s s' : shape) : bool :=
  match s, s' with (c, h, w), (c', h', w') => (c =? c') && (h =? h') && (w =? w') end.
Definition covers (n : nat) (p : list (list (option nat))) : bool :=
  (0 <? length p) && (0 <? length (hd [] p))
  && forallb (fun r => (length r =? length (hd [] p)) && forallb (fun i => match i with Some i => i <? n | None => true end) r) p.
Definition met (m : mode) (n : nat) (k : walk) : list (list (option nat)) :=
  match k with Walk a => pattern m n a | Given p => p end.
Definition outputs (n : nat) (k : walk) : nat := match k with Walk a => size n a | Given p => length (hd [] p) end.
Definition span (k : walk) : nat := match k with Walk a => extent a | Given p => length p end.
Definition serves (m : mode) (n : nat) (k : walk) : bool := match k with Walk a => fits m n a | Given p => covers n p end.

Definition entering {R} (shapes : list shape) (ss : list (nat * R)) : option shape :=
  match ss with
  | [] => None
  | s :: _ =>
    match nth_error shapes (fst s) with
    | Some q => if forallb (fun s => match nth_error shapes (fst s) with Some q' => same_shape q q' | None => false end) ss
                then Some q else None
    | None => None
    end
  end.
Definition compile {R} (shapes : list shape) (l : convolution R) : option (layer R * shape) :=
  match entering shapes (from l) with
  | Some (c, h, w) =>
    let g := split l in
    let o := length (kernels l) in
    if (0 <? g) && (0 <? o) && (c mod g =? 0) && (o mod g =? 0)
       && serves (padding l) h (vertical l) && serves (padding l) w (horizontal l)
       && (length (biases l) =? o)
       && forallb (fun k => length k =? c / g * (span (vertical l) * span (horizontal l))) (kernels l)
    then Some (Layer (from l) (met (padding l) h (vertical l)) (met (padding l) w (horizontal l)) g
                     (kernels l) (biases l),
               (o, outputs h (vertical l), outputs w (horizontal l)))
    else None
  | None => None
  end.
Fixpoint compile_all {R} (shapes : list shape) (ls : list (convolution R)) : option (list (layer R) * list shape) :=
  match ls with
  | [] => Some ([], shapes)
  | l :: ls' =>
    match compile shapes l with
    | Some (k, q) =>
      match compile_all (shapes ++ [q]) ls' with Some (ks, qs) => Some (k :: ks, qs) | None => None end
    | None => None
    end
  end.
Definition network {R} (ss : list shape) (ls : list (convolution R)) : option (list (layer R) * list shape) :=
  if (0 <? length ss) && forallb (fun s => let '(c, h, w) := s in (0 <? c) && (0 <? h) && (0 <? w)) ss
  then compile_all ss ls else None.
