(******************************************************************************)
(*      Any layer that is run is one of the theory                            *)
(*                                                                            *)
(* A well-formed layer is cnn_layer of cnn.v, of what enters it.  One that    *)
(* walks along both axes is that convolution itself, with its padding, stride *)
(* and dilation.  One of patterns that are written out gathers what its taps  *)
(* meet as channels, and is then a convolution of one tap.                    *)
(*                                                                            *)
(*   proper l s q k == what compile demands of the layer l, its feeds of shape*)
(*              s, its result of shape q; k is what is run                    *)
(*   entered l s == the shape of what enters layer l                          *)
(*   position l s y == which position of the feeds entry y of that copies     *)
(*   read x p == the entry of x at a position, 0 at none                      *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From Coq Require List PeanoNat.
From AlgebraicCNN Require Import flatten pattern padding correlation.
From AlgebraicCNN.checker Require Import evaluator patterns shapes bridge sums theory notations.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section Layer.
Variable K : comRingType.
Implicit Types (l : convolution K) (s q : shape) (x : list (list (list K))).

Definition direct l : bool :=
  match vertical l, horizontal l with Walk _, Walk _ => true | _, _ => false end.
Definition of_axis l (k : walk) (part : axis -> nat) (other : nat) : nat :=
  if direct l then if k is Walk a then part a else other else other.
Definition area l : nat := (span (vertical l) * span (horizontal l))%N.
Definition entered l s : shape :=
  if direct l then s else ((s.1.1 * area l)%N, outputs s.1.2 (vertical l), outputs s.2 (horizontal l)).
Definition place3 (i : nat) (r t : option nat) : option (nat * nat * nat) :=
  if r is Some u then if t is Some v then Some (i, u, v) else None else None.
Definition position l s (y : nat * nat * nat) : option (nat * nat * nat) :=
  let: (z, u, v) := y in
  let n := span (horizontal l) in
  if direct l then Some y else
  place3 (z %/ area l)
    (List.nth u (row (met (padding l) s.1.2 (vertical l)) (z %% area l %/ n)) None)
    (List.nth v (row (met (padding l) s.2 (horizontal l)) (z %% area l %% n)) None).
Definition read x (p : option (nat * nat * nat)) : K := if p is Some (i, u, v) then entry x i u v else 0.

Definition mode_in l : padding_mode := if direct l then mode_of (padding l) else padding.Zeros.

(* what compile demands of a layer and of what enters it *)
Record proper l s q (k : layer K) : Prop := Proper {
  proper_channels : (0 < s.1.1)%N;
  proper_groups : (0 < split l)%N;
  proper_in : (split l %| s.1.1)%N;
  proper_out : (split l %| length (kernels l))%N;
  proper_rows : serves (padding l) s.1.2 (vertical l);
  proper_cols : serves (padding l) s.2 (horizontal l);
  proper_bias : length (biases l) = length (kernels l);
  proper_kernel : List.Forall (fun w => length w = (s.1.1 %/ split l * area l)%N) (kernels l);
  proper_layer : k = Layer (from l) (met (padding l) s.1.2 (vertical l)) (met (padding l) s.2 (horizontal l))
                           (split l) (kernels l) (biases l);
  proper_positive : positive_shape q;
  proper_shape : q = (length (kernels l), outputs s.1.2 (vertical l), outputs s.2 (horizontal l)) }.

Lemma compile_proper ss l k q : compile ss l = Some (k, q) -> List.Forall positive_shape ss ->
  exists2 s, entering ss (from l) = Some s & proper l s q k.
Proof.
rewrite /compile => + pos; case E: (entering ss (from l)) => [[[c h] w]|] //.
case C: (_ && _) => // -[<- <-]; exists (c, h, w) => //.
have c0 : (0 < c)%N.
  move: E; rewrite /entering; case: (from l) => // f fs.
  case N: (List.nth_error ss f.1) => [s|] //; case: (List.forallb _ _) => // -[sE].
  have /List.Forall_forall P := pos.
  by have := P s (List.nth_error_In _ _ N); rewrite sE => /ltP.
case/andP: C => /andP [/andP [/andP [/andP [/andP [/andP [g0 o0] cg] og] sv] sh] lb] lk.
rewrite !ltbE in g0 o0; move/PeanoNat.Nat.eqb_eq: lb => lb.
move: cg og; rewrite ?modE // => /PeanoNat.Nat.eqb_eq cg /PeanoNat.Nat.eqb_eq og.
split=> //=.
- by rewrite /dvdn cg.
- by rewrite /dvdn og.
- apply/List.Forall_forall => w' I; move/List.forallb_forall: lk => /(_ w' I) /PeanoNat.Nat.eqb_eq ->.
  by rewrite divE // /area.
exact/ltP.
Qed.

Lemma met_given m n k : serves m n k ->
  [/\ length (met m n k) = span k, List.Forall (fun r => length r = outputs n k) (met m n k),
      length (List.hd nil (met m n k)) = outputs n k, (0 < span k)%N & (0 < outputs n k)%N].
Proof.
move=> S; have [H [F /ltP P]] := met_regular m n k S; split=> //.
- by case: k {S H F P} => //= a; rewrite List.map_length List.seq_length.
case: k S {H F P} => [a|p] /=; first by case/fitsP.
by rewrite /covers => /andP [/andP [+ _] _]; rewrite ltbE.
Qed.

(* what the patterns meet is inside *)
Lemma met_inside m n k t u i : serves m n k -> List.nth u (row (met m n k) t) None = Some i -> (i < n)%N.
Proof.
case: k => [a|p] /= S.
  case: (ltnP t (extent a)) => [tN|?]; last first.
    by rewrite (@List.nth_overflow _ (patterns.pattern _ _ _)) ?nth_nil // List.map_length List.seq_length; apply/leP.
  case: (ltnP u (patterns.size n a)) => [uN|?]; last first.
    rewrite (List.nth_overflow (List.nth _ _ _)) //.
    rewrite /patterns.pattern (nth_maps _ 0%N) ?List.seq_length // List.map_length List.seq_length; exact/leP.
  rewrite nth_pattern // source_src; case: (src _ _ _ _) => //= j [<-]; exact: ltn_ord.
move: S => /andP [_ /List.forallb_forall F] E.
case: (ltnP t (length p)) => [tN|?]; last first.
  by move: E; rewrite (@List.nth_overflow _ p) ?nth_nil //; apply/leP.
have /andP [_ /List.forallb_forall G] := F _ (nth_in nil tN).
case: (ltnP u (length (List.nth t p nil))) => [uN|?]; last first.
  by move: E; rewrite List.nth_overflow //; apply/leP.
by have := G _ (nth_in None uN); rewrite E ltbE.
Qed.

Lemma position_inside l s q k y p : proper l s q k -> (y.1.1 < (entered l s).1.1)%N ->
  (y.1.2 < (entered l s).1.2)%N -> (y.2 < (entered l s).2)%N -> position l s y = Some p ->
  [/\ (p.1.1 < s.1.1)%N, (p.1.2 < s.1.2)%N & (p.2 < s.2)%N].
Proof.
case: y => [[z u] v] P; rewrite /entered /position; case: (direct l) => [/= ? ? ?|/= zN uN vN]; first by case=> <-.
have S := proper_rows P; have T := proper_cols P.
rewrite /place3; case R: (List.nth u _ None) => [r|] //; case C: (List.nth v _ None) => [t|] // -[<-] /=.
have a0 : (0 < area l)%N by rewrite muln_gt0; have [_ _ _ -> _] := met_given S; have [_ _ _ -> _] := met_given T.
by rewrite ltn_divLR // zN (met_inside S R) (met_inside T C).
Qed.

Lemma one_tap ec eh ew co g ks (F : nat * nat * nat -> K) (o : 'I_co * 'I_eh * 'I_ew) : (g %| ec)%N -> (g %| co)%N ->
  conv2d (g := g) 1 1 1 1 (@kernel_of K co (ec %/ g) 1 1 ks)
    (pad2 padding.Zeros (top := 0) (bottom := 0) (left := 0) (right := 0)
      (fun y : 'I_ec * 'I_eh * 'I_ew => F (y.1.1 : nat, y.1.2 : nat, y.2 : nat))) o =
  \sum_(0 <= z < ec %/ g) num (row ks o.1.1) z * F ((o.1.1 %/ (co %/ g) * (ec %/ g) + z)%N, o.1.2 : nat, o.2 : nat).
Proof.
have none n (i : 'I_n) : src n 0 padding.Zeros i = Some i by rewrite -[X in src _ _ _ X]add0n; exact: src_inside.
case: o => [[o u] v] gc go; rewrite /conv2d big_mkord; apply: eq_bigr => z _.
rewrite !big_ord1 /kernel_of /=.
have at0 n : (n * 1 + 0 * 1 = n)%N by rewrite mul0n muln1 addn0.
rewrite !at0; congr (_ * _).
have zc : (o %/ (co %/ g) * (ec %/ g) + z < ec)%N by apply: (channel_inside gc go).
have uN : (u < 0 + eh + 0)%N by rewrite addn0.
have vN : (v < 0 + ew + 0)%N by rewrite addn0.
rewrite /at3 (insub_ord zc) (insub_ord uN) (insub_ord vN) /= /pad2 /select /pad2_src /=.
by rewrite !none.
Qed.

Theorem layer_is_cnn_layer l s q k x (o : 'I_q.1.1 * 'I_q.1.2 * 'I_q.2) : proper l s q k -> shaped_as s x ->
  entry (conv 0 1 plus mult k x) o.1.1 o.1.2 o.2 =
  conv2d (g := split l) (of_axis l (vertical l) stride 1) (of_axis l (horizontal l) stride 1)
    (of_axis l (vertical l) dilation 1) (of_axis l (horizontal l) dilation 1)
    (@kernel_of K q.1.1 ((entered l s).1.1 %/ split l) (of_axis l (vertical l) extent 1)
      (of_axis l (horizontal l) extent 1) (kernels l))
    (pad2 (mode_in l) (top := of_axis l (vertical l) before 0) (bottom := of_axis l (vertical l) after 0)
      (left := of_axis l (horizontal l) before 0) (right := of_axis l (horizontal l) after 0)
      (fun y : 'I_(entered l s).1.1 * 'I_(entered l s).1.2 * 'I_(entered l s).2 =>
        read x (position l s (y.1.1 : nat, y.1.2 : nat, y.2 : nat)))) o
  + num (biases l) o.1.1.
Proof.
case: s => [[c h] w] P xs; have [/= c0 g0 gc go sv sh lb lk kE _ qE] := P; subst q; rewrite kE.
case D: (direct l).
  case: l {P kE} D o g0 gc go sv sh lb lk => fs m [va|?] [ha|?] g ks bs //= _ o g0 gc go fv fh lb lk.
  exact: (conv_is_cnn_layer fs xs c0 g0 gc go fv fh (erefl (length ks)) lb lk).
case: o => [[o u] v] /=.
have [Lv Fv Hv ev ov] := met_given sv; have [Lh Fh Hh eh oh] := met_given sh.
set k' := Layer _ _ _ _ _ _.
have reg : regular k' by split; rewrite /height /width /= ?Hv ?Hh.
have lk' : List.Forall (fun w0 => length w0 = (c %/ groups k' * (length (rows k') * length (cols k')))%N) (kernel k').
  by rewrite /= Lv Lh.
rewrite (conv_sum xs c0 reg g0 gc go lb lk') /height /width /= ?Hv ?Hh ?ltn_ord // Lv Lh; congr (_ + _).
have a0 : (0 < area l)%N by rewrite muln_gt0 ev.
have gE : (split l %| (c * area l))%N by rewrite dvdn_mulr.
have ecE : (c * area l %/ split l = c %/ split l * area l)%N by rewrite mulnC -muln_divA // mulnC.
rewrite /of_axis /mode_in /entered /position D /=.
apply: etrans (esym (one_tap (kernels l) (fun y => read x (place3 (y.1.1 %/ area l)
  (List.nth y.1.2 (row (met (padding l) h (vertical l)) (y.1.1 %% area l %/ span (horizontal l))) None)
  (List.nth y.2 (row (met (padding l) w (horizontal l)) (y.1.1 %% area l %% span (horizontal l))) None)))
  (o, u, v) gE go)) => /=.
rewrite ecE big_mul; apply: eq_bigr => i _; rewrite /area big_mul.
rewrite big_nat_cond [RHS]big_nat_cond; apply: eq_bigr => a /andP [/andP [_ aN] _].
rewrite big_nat_cond [RHS]big_nat_cond; apply: eq_bigr => b /andP [/andP [_ bN] _].
congr (_ * _).
have zN : (a * span (horizontal l) + b < area l)%N.
  by apply: (@leq_trans (a.+1 * span (horizontal l))%N); rewrite ?leq_mul2r ?aN ?orbT // mulSnr ltn_add2l.
rewrite mulnA addnA -mulnDl divnMDl // modnMDl (divn_small zN) (modn_small zN) addn0.
by rewrite divnMDl // (divn_small bN) addn0 modnMDl (modn_small bN) /meet /read /place3 /entry /pixel;
  do 2 case: (List.nth _ _ None) => [?|] //.
Qed.
End Layer.

Print Assumptions layer_is_cnn_layer.
